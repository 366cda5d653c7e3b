"""Exports with torch.export."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.runs.export.network import Plan

FILE = "model.pt2"
#: Name of the additional file in the archive that describes the export.
DESCRIPTION = "zoo.json"


def write_pt2(plan: Plan, folder: Path) -> None:
    """Write model.pt2, which `torch.export.load` reads. Its additional file zoo.json contains the description.

    Raises:
        ExportError: If the network cannot be exported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # They concern the authors of networks.
            program = plan.build_program()
            _remove_paths(program)
            torch.export.save(program, folder / FILE, extra_files={DESCRIPTION: json.dumps(plan.describe())})
    except Exception as error:  # torch raises many kinds of exceptions.
        raise plan.fail(describe_in_one_line(error)) from error


def _remove_paths(program: ExportedProgram) -> None:
    """Remove the stack traces of the layers, which contain the folders of this machine."""
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
