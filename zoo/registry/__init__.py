"""Name resolution: installed plugins, backbones, data sets and recipes. Never imports torch."""
