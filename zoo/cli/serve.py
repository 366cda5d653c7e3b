"""``zoo serve``."""

from __future__ import annotations

import click

from zoo.cli import shared
from zoo.cli.completion import complete_run
from zoo.cli.process import torch_session
from zoo.cli.streams import print_lines


@click.command(name="serve")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Network interface to listen on; 0.0.0.0 lets other machines connect.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    help="Port; 0 for a free one.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="Name under which clients reach this machine. Can be repeated. IP addresses and localhost always work.",
)
@shared.model
@shared.inference_device
def command(  # click passes each option as an argument
    run: str, host: str, port: int, names: tuple[str, ...], model: str | None, device: str
) -> None:
    """Serve the model of a run: a page for the browser, and JSON for programs.

    Prints the address when the model is loaded, and runs until Ctrl-C. POST
    the content of an image file to /predict to get the most likely classes.
    """
    from zoo.runs.serve.server import listen, serve

    with listen(host, port, names) as listener:
        with torch_session() as (registry, progress):
            from zoo.runs.classifier import load

            if not listener.is_local:
                progress.say("warning: everyone who can reach this machine can use the model")
            classifier = load(run, model=model, device=device, registry=registry, progress=progress)
        print_lines(listener.url)
        serve(classifier, listener, registry, progress)
