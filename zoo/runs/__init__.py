"""Run folders: safetensors, run.json, history.jsonl, a report and a model card. None of the files is a pickle."""
