"""The command line: each command in a file of its own, loaded when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from zoo.cli.flags import name_flags
from zoo.cli.groups import suggest
from zoo.cli.signals import choose_code, terminable
from zoo.errors import SaidElsewhere, ZooError

#: What torch reads when it is imported; whoever sets it to something else is obeyed. Its threads sleep while they wait:
#: they spin otherwise, and on a busy machine take the cores from those that work.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}

#: In the order in which people work, each with the first sentence of its own help.
COMMANDS = {
    "list": "List the backbones whose name holds or matches PATTERN.",
    "info": "Show what is known of BACKBONE.",
    "lr-find": "Find a learning rate for BACKBONE on your images.",
    "finetune": "Fine-tune BACKBONE on your images.",
    "evaluate": "Measure RUN on labelled images.",
    "compare": "Put runs side by side, the most accurate first.",
    "predict": "Predict the class of images with RUN.",
    "plugins": "Show the installed plugins.",
    "plugin": "Write a plugin of your own.",
    "check": "Prove what a plugin, or one backbone, declares.",
    "cache": "Show or empty the folder of what was fetched or computed.",
    "doctor": "Show versions, devices, caches and plugins, and what to do about what is missing.",
}
#: What people type for a command, from other tools.
SYNONYMS = {
    "train": "finetune", "fit": "finetune", "fine-tune": "finetune", "fine_tune": "finetune", "tune": "finetune",
    "show": "info", "describe": "info", "ls": "list", "models": "list", "backbones": "list", "search": "list",
    "eval": "evaluate", "test": "evaluate", "validate": "evaluate", "val": "evaluate",
    "classify": "predict", "infer": "predict", "lr_find": "lr-find", "diff": "compare", "env": "doctor",
}  # fmt: skip


class Commands(click.Group):
    """The commands, in the order in which people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """List them."""
        return [*COMMANDS]  # not list(): our own module of that name hides it

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # click's
        """Load one."""
        if cmd_name not in COMMANDS and ctx.resilient_parsing:  # a shell completes
            return None
        if cmd_name not in COMMANDS:
            ctx.fail(f"No command {cmd_name!r}.{suggest(cmd_name, COMMANDS, SYNONYMS)}")
        command: click.Command = importlib.import_module(f"zoo.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        """Write what each is for, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take --debug wherever it stands."""
        return super().parse_args(ctx, sorted(args, key="--debug".__ne__))

    def invoke(self, ctx: click.Context) -> Any:
        """Run one; what the user can mend becomes one line."""
        try:
            return super().invoke(ctx)
        except SaidElsewhere:
            return 1
        except ZooError as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(name_flags(" ".join(str(error).split()))) from error


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: zoo finetune tiny --data suns_moons. What a command takes and prints: zoo COMMAND --help.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="zoo-backbones", prog_name="zoo", message="zoo %(version)s")
def cli(debug: bool) -> None:  # read by Commands.invoke
    """Fine-tune any image backbone with one command."""


def main() -> NoReturn:
    """Run the command line; exits with 1 for an error, 2 for wrong usage, 130 and more after a signal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        with terminable():
            result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as abort:  # the latter outside of what click looks after
        from zoo.progress import is_first

        if is_first():
            click.echo("interrupted; a run keeps its best epoch so far", err=True)
        sys.exit(choose_code(abort.__cause__))
    sys.exit(result if isinstance(result, int) else 0)
