"""Options that several commands have."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.completion import complete_data
from zoo.registry.adapt_design import AdaptDesign
from zoo.registry.optimizer_design import OPTIMIZERS
from zoo.registry.recipe import DEVICES, Recipe


def show_default(field: str) -> str:
    """Return the part of a help text that shows a field's default."""
    return f"[default: {getattr(Recipe(), field)}]"


data = click.option(
    "--data",
    required=True,
    shell_complete=complete_data,
    metavar="DATA",
    help="Folder of images, table that lists images, archive, or name of a data set.",
)
label_from = click.option(
    "--label-from",
    metavar="REGEX",
    help="Regular expression that finds the class in the name of an image file, such as '(cat|dog)'.",
)
columns = click.option("--columns", metavar="ROLE=NAME,...", help="Columns of a table, such as image=path,label=breed.")
channels = click.option(
    "--channels",
    type=int,
    metavar="N",
    help="Number of channels of the images; 1 converts them to grayscale.  [default: as the weights expect]",
)
inference_device = click.option(
    "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Device to run the model on."
)

model = click.option(
    "--model", metavar="FILE.py:FUNCTION", help="Your own network, if the run was trained with one. Runs the file."
)

adapt = click.option(
    "--adapt",
    is_flag=True,
    help="Adapt the model to each image before predicting it. Experimental, and 25 times as slow.",
)
adapt_options = click.option(
    "--adapt-options", metavar="SETTINGS", help="How to adapt, such as views=16,steps=2,lr=0.001."
)


def pop_adapt(options: dict[str, Any]) -> bool | str:
    """Remove the two options above, and return the value of `adapt`.

    Raises:
        OptionError: If the settings are invalid.
    """
    settings: str | None = options.pop("adapt_options")
    is_set: bool = options.pop("adapt")
    if settings is None:
        return is_set
    AdaptDesign.parse(settings, "adapt_options")
    return settings


# Training options. click's default for them is None, so that --config can set an option that is not given as a flag.
weights = click.option(
    "--weights",
    metavar="WEIGHTS",
    help="Initial weights: DEFAULT, a tag, none (random weights), a .safetensors file, or hf://OWNER/NAME for a run on "
    "the Hugging Face Hub.  [default: DEFAULT]",
)
head = click.option(
    "--head",
    metavar="HEAD",
    help="New head: linear, or mlp:W,W with hidden layers of these widths. For your own network, also the path of its "
    f"last layer.  {show_default('head')}",
)
blocks = click.option(
    "--blocks",
    metavar="BLOCKS",
    help="Blocks of your own network, such as stem=conv1+bn1,layer1.  [default: its children]",
)
batch_size = click.option(
    "--batch-size", type=int, metavar="N", help=f"Number of images per batch.  {show_default('batch_size')}"
)
optimizer = click.option("--optimizer", type=click.Choice(OPTIMIZERS), help=f"Optimizer.  {show_default('optimizer')}")
device = click.option("--device", type=click.Choice(DEVICES), help=f"Device to train on.  {show_default('device')}")
seed = click.option("--seed", type=int, metavar="N", help=f"Seed for random numbers.  {show_default('seed')}")
assignments = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set any training option, such as mixup=0.2. Can be repeated.",
)
config = click.option(
    "--config", metavar="FILE", help="TOML file with training options. Flags and --set take precedence."
)
