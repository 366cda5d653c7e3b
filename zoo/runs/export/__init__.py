"""Exports of a run for ONNX, torch.export, timm and transformers, each with a proof that its probabilities agree."""
