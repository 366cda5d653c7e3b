"""The command line. Each command has its own file, which is imported when the command is called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

import click

from zoo.cli.flags import name_flags
from zoo.cli.signals import choose_code, terminable
from zoo.cli.streams import print_error, print_notes, reporting_output_errors
from zoo.errors import ReportedByPeer, ZooError
from zoo.progress.printable import escape_unencodable

#: Environment variables that zoo sets before torch is imported, unless the user has set them. With PASSIVE, idle
#: threads sleep. Otherwise they spin, and on a busy machine they take CPU time from the threads that do the work.
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}

#: The commands in the order of a usual workflow, each with the first sentence of its help.
COMMANDS = {
    "list": "List the available backbones.",
    "info": "Show the details of a backbone.",
    "inspect": "Show the modules of a backbone or of a run's model.",
    "data": "Check or show the images of a data set.",
    "rank": "Rank backbones for your images before anything is trained.",
    "convert": "Convert a .pth or .ckpt file to safetensors.",
    "lr-find": "Find a good learning rate for a backbone on your images.",
    "finetune": "Fine-tune a backbone on your images.",
    "evaluate": "Evaluate a run on labeled images.",
    "compare": "Compare runs, most accurate first.",
    "report": "Write the report of a run again, or compare several runs.",
    "predict": "Classify images with the model of a run.",
    "export": "Export the model of a run for other programs.",
    "push": "Push a run to the Hugging Face Hub.",
    "serve": "Serve the model of a run: a page for the browser, and JSON for programs.",
    "embed": "Compute the features of images.",
    "plugins": "List the installed plugins.",
    "plugin": "Create a plugin.",
    "check": "Check that a plugin does what it declares.",
    "cache": "List or clear the cache folder.",
    "doctor": "Check the installation and show how to fix problems.",
}
#: Names of commands in other tools, and the command that the user means.
SYNONYMS = {
    "train": "finetune", "fit": "finetune", "fine-tune": "finetune", "fine_tune": "finetune", "tune": "finetune",
    "show": "info", "describe": "info", "ls": "list", "models": "list", "backbones": "list", "search": "list",
    "choose": "rank", "select": "rank", "suggest": "rank",
    "summary": "inspect", "modules": "inspect", "layers": "inspect",
    "eval": "evaluate", "test": "evaluate", "validate": "evaluate", "val": "evaluate",
    "classify": "predict", "infer": "predict", "lr_find": "lr-find", "diff": "compare", "env": "doctor",
    "server": "serve", "app": "serve", "api": "serve", "deploy": "serve", "demo": "serve",
    "features": "embed", "extract": "embed", "encode": "embed",
    "upload": "push", "publish": "push", "share": "push",
    "import": "convert", "to-safetensors": "convert",
}  # fmt: skip


class Commands(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """List the names of the commands."""
        return [*COMMANDS]  # not list(COMMANDS): `list` is the module zoo.cli.list here

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS and ctx.resilient_parsing:  # during shell completion
            return None
        if cmd_name not in COMMANDS:
            ctx.fail(f"no such command {cmd_name!r}.{_suggest(cmd_name)}")
        command: click.Command = importlib.import_module(f"zoo.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept ``--debug`` at any position, and refuse empty values, which come from unset variables of a script."""
        if not ctx.resilient_parsing:
            _refuse_empty(ctx, args)
        if "--debug" in args:
            args = ["--debug", *(arg for arg in args if arg != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and turn a `ZooError` into a one-line message."""
        from zoo.files.limits import check_limits  # help does not need it

        try:
            check_limits()
            return super().invoke(ctx)
        except ReportedByPeer:
            return 1
        except ZooError as error:
            if ctx.params["debug"]:
                raise
            raise click.ClickException(name_flags(" ".join(str(error).split()))) from error


def _refuse_empty(ctx: click.Context, args: Sequence[str]) -> None:
    for before, value in pairwise(["", *args]):
        option, equals, given = value.partition("=") if value.startswith("--") else (before, "=", value)
        if equals and not given:
            name = option if option.startswith("-") and option != "--" and "=" not in option else "an argument"
            ctx.fail(f"{name} is empty; omit it or set it to a value.")


def _suggest(wrong: str) -> str:
    """Return a hint such as ``Did you mean 'finetune'?``, or an empty string if no command is similar."""
    import difflib  # imported here because it is slow and rarely needed

    similar = [SYNONYMS[wrong]] if wrong in SYNONYMS else difflib.get_close_matches(wrong, [*COMMANDS], n=2, cutoff=0.7)
    return f" Did you mean {' or '.join(map(repr, similar))}?" if similar else ""


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: zoo finetune tiny --data suns_moons. Run 'zoo COMMAND --help' for the options of a command.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="zoo-backbones", prog_name="zoo", message="zoo %(version)s")
def cli(debug: bool) -> None:  # `debug` is read in Commands.invoke
    """Fine-tune any image backbone with one command."""


def main() -> NoReturn:
    """Run the command line, and exit: with 1 after an error, 2 after wrong usage, 130 or more after a signal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    escape_unencodable()
    try:
        with reporting_output_errors(), terminable():
            result = cli.main(standalone_mode=False)
    except click.ClickException as error:
        print_error(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as abort:  # KeyboardInterrupt if it was raised outside of click
        from zoo.progress import is_first

        if is_first():
            print_notes("interrupted")
        sys.exit(choose_code(abort.__cause__))
    sys.exit(result if isinstance(result, int) else 0)
