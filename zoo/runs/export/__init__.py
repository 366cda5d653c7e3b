"""Exports of a run, each with a proof that it gives the probabilities of the run: ONNX, torch.export and timm."""
