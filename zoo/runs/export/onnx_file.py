"""Exports to ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import torch

from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.runs.export.network import Plan
from zoo.runs.export.packages import require_packages

FILE = "model.onnx"
#: Version of the operators. It is the oldest one that torch's exporter writes without converting.
OPSET = 18


def write_onnx(plan: Plan, folder: Path) -> None:
    """Write model.onnx, whose input is ``images`` and whose output is ``probabilities``.

    The metadata properties contain the description of `Plan.describe`, each value as JSON.

    Raises:
        ExportError: If the network cannot be exported.
        OptionError: If onnx, onnxruntime or onnxscript is not installed.
    """
    require_packages("onnx", "onnx", "onnxruntime", "onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It reports that nothing was found to be wrong.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # They concern the authors of exporters.
            program = torch.onnx.export(
                plan.build_program(), (plan.example,), dynamo=True, opset_version=OPSET, verbose=False,
                input_names=["images"], output_names=["probabilities"],
            )  # fmt: skip
    except Exception as error:  # torch raises many kinds of exceptions.
        raise plan.fail(describe_in_one_line(error)) from error
    assert program is not None
    for name, value in plan.describe().items():
        program.model.metadata_props[name] = json.dumps(value)
    program.save(folder / FILE, external_data=False)
