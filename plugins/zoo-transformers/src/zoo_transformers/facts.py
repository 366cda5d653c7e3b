"""Facts about a backbone, and the spec that they make. Nothing here imports transformers or torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.plugin import BackboneSpec, WeightsSpec
from zoo_transformers.architecture import NUM_CLASSES
from zoo_transformers.building import Upstream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.plugin import BlockSpec, Capability, InputSpec
    from zoo_transformers.architecture import Architecture

#: SPDX identifier of the license of transformers' code.
CODE_LICENSE = "Apache-2.0"
#: Name of the file with the weights in a repository.
FILE = "model.safetensors"
ONE_SIZE = "its forward pass accepts only one image size"
READS_VALUES = "its forward pass reads the values of its attention mask, which tensors on the meta device lack"
#: Checks that fail for a kind of network, with the reason.
VANISHES = "transformers draws such small random weights that the logits of untrained networks vanish in eval mode"
EXPECTED_FAILURES = {name: {"forward.repeatable": VANISHES} for name in ("efficientnet", "mobilevit", "mobilevitv2")}
#: Capabilities that a kind of network lacks, with the reason.
LACKS = {"mobilenet_v1": {"bf16": "the logits of an untrained network in bf16 differ from those in fp32"}}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an architecture without building it."""

    architecture: Architecture
    #: Upstream's name of the kind of network, ``model_type``.
    family: str
    params: int
    head: tuple[str, ...]
    blocks: tuple[BlockSpec, ...]
    input: InputSpec
    #: Field of the output that holds the logits.
    output: str
    #: Prefixes of parameters that get no gradient.
    unused: tuple[str, ...] = ()
    #: Whether the forward pass reads the values of tensors, which tensors on the meta device lack.
    reads_values: bool = False
    #: Paths of the convolutions of the image; empty if the model cannot be adapted to other channels.
    first_conv: tuple[str, ...] = ()
    #: Whether upstream declares that it supports gradient checkpointing.
    checkpoints: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A repository with weights on the Hugging Face Hub."""

    #: ``owner/name``.
    repository: str
    #: Number of outputs of the head in the file; None if the file has no usable head.
    labels: int | None = NUM_CLASSES


def make_spec(name: str, facts: Facts, checkpoint: Checkpoint | None, upstream: str) -> BackboneSpec:
    """Return the spec of a backbone.

    Args:
        name: Name of the backbone, without the namespace.
        facts: Facts about its architecture.
        checkpoint: The repository with its weights; None if no weights are known.
        upstream: The version of transformers that the facts describe.
    """
    source = Upstream(facts.architecture, checkpoint.labels if checkpoint else NUM_CLASSES)
    supports, unsupported = _make_claims(facts)
    return BackboneSpec(
        name=f"transformers/{name}",
        family=facts.family,
        build=source.build,
        head=facts.head,
        blocks=facts.blocks,
        params=facts.params,
        license=CODE_LICENSE,
        input=facts.input,
        preprocessing=None if facts.architecture.processor is None else source.preprocessing,
        weights=() if checkpoint is None else (_make_weights(checkpoint),),
        num_classes=NUM_CLASSES,
        unused=facts.unused,
        first_conv=facts.first_conv or None,
        output_field=facts.output,
        convert=source.convert,
        upstream=upstream,
        constructor=facts.architecture.constructor,
        run_files=source.run_files,
        supports=supports,
        unsupported=unsupported,
        expected_failures=EXPECTED_FAILURES.get(facts.family, {}),
    )


def _make_weights(checkpoint: Checkpoint) -> WeightsSpec:
    """Return the weights of a repository. Its model card, which is on the Hub, states their license."""
    return WeightsSpec(
        tag=checkpoint.repository.partition("/")[0],
        url=f"hf://{checkpoint.repository}/{FILE}",
        license="unknown",
        num_classes=checkpoint.labels,
    )


def _make_claims(facts: Facts) -> tuple[tuple[Capability, ...], Mapping[str, str]]:
    lacks = dict(LACKS.get(facts.family, {}))
    if facts.architecture.sizes == "fixed":
        lacks["image_sizes"] = ONE_SIZE
    if facts.reads_values:
        lacks["meta"] = READS_VALUES
    found: dict[Capability, bool] = {
        "image_sizes": True, "channels": facts.first_conv != (), "bf16": True,
        "gradient_checkpointing": facts.checkpoints,
    }  # fmt: skip
    capable = [name for name, is_found in found.items() if is_found]
    return tuple(claim for claim in capable if claim not in lacks), lacks
