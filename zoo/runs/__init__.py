"""What a run leaves on disk: safetensors, run.json, history.jsonl and a model card. Nothing in it is a pickle."""
