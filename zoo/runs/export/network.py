"""The network that is exported: preprocessing, the model of the run, and a softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from zoo.data.channels import count_decoded
from zoo.errors import ExportError
from zoo.runs.classifier import Classifier
from zoo.runs.export.preprocessing import Preprocessing

#: Where images are resized and normalized: in the exported graph, or by the program that uses it.
Place = Literal["inside", "outside"]
PLACES = get_args(Place)
#: Number of images in the example batch. With a batch of 1, exporters take the size of the batch for a constant.
_EXAMPLE = 2
#: Height and width of the example images, which have no factor in common with the usual sizes of inputs.
_EXAMPLE_SIZE = (301, 203)


class ExportedNetwork(nn.Module):
    """A network that returns probabilities of shape (N, classes)."""

    def __init__(self, model: nn.Module, preprocessing: nn.Module) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Classify a batch, in the format of `Plan.example`."""
        logits: Tensor = self.model(self.preprocessing(images))
        return logits.softmax(1)


@dataclass(frozen=True)
class Plan:
    """What an exporter writes."""

    classifier: Classifier
    network: ExportedNetwork
    format: str
    place: Place

    @classmethod
    def of(cls, classifier: Classifier, format: str, place: Place) -> Plan:
        """Build the network for a run on the CPU."""
        model = classifier.model.to(memory_format=torch.contiguous_format)
        is_inside = place == "inside"
        preprocessing = Preprocessing(classifier.header.input) if is_inside else nn.Identity()
        return cls(classifier, ExportedNetwork(model, preprocessing).eval(), format, place)

    @property
    def example(self) -> Tensor:
        """An example batch: uint8 of shape (N, H, W, 3 or C); or, outside, float32 of shape (N, C, H, W)."""
        size = self.classifier.header.input.size
        if self.place == "inside":
            return torch.zeros(_EXAMPLE, *_EXAMPLE_SIZE, count_decoded(size[0]), dtype=torch.uint8)
        return torch.zeros(_EXAMPLE, *size)

    def build_program(self) -> torch.export.ExportedProgram:
        """Return the program of the network, for batches and, with the place ``inside``, images of any size."""
        dynamic = ("batch", "height", "width") if self.place == "inside" else ("batch",)
        shapes = {axis: torch.export.Dim(name) for axis, name in enumerate(dynamic)}
        with torch.no_grad():
            return torch.export.export(self.network, (self.example,), dynamic_shapes={"images": shapes})

    def fail(self, reason: str) -> ExportError:
        """Return the error for a network that cannot be exported."""
        return ExportError(
            f"{self.classifier.header.backbone} cannot be exported to {self.format}: {reason}; choose another `format`."
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what a program must know to use the export."""
        header = self.classifier.header
        return {
            "classes": list(header.classes),
            "preprocess": self.place,
            "input": asdict(header.input),
            "backbone": header.backbone,
            "weights": header.weights,
            "weights_license": header.weights_license,
        }
