"""What a name means: installed plugins, backbones, data sets, recipes. Never imports torch."""
