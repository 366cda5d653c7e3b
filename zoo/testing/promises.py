"""The promises of a plugin and its backbones, in the order in which they are checked.

A promise is a claim that a plugin makes, in its specs or by implementing the contract, and that one check verifies. The
name of a check refers to its function: ``head.found`` is the function ``found`` in `zoo.testing.checks.head`. The
function takes a plugin, a declaration or a backbone. It returns None if the promise is kept. Otherwise, it raises
`CheckFailed`, `NotApplicable` or `CannotCheck`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

#: Levels; each level includes the levels before it. ``static`` checks the declarations, ``meta`` a model on torch's
#: meta device, ``cpu`` a model with random weights on the CPU, ``network`` the published weights.
Level = Literal["static", "meta", "cpu", "network"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Check:
    """A check of one promise."""

    name: str
    level: Level
    promise: str
    #: Names of the checks that must not fail for this one to run.
    needs: tuple[str, ...] = ()
    #: Capability that the promise is about; the check applies only to backbones that list it in ``supports``.
    capability: str | None = None
    #: Entry in ``unsupported`` that excuses a failure. The check runs in any case, to detect outdated entries.
    excuse: str | None = None

    @property
    def is_of_plugin(self) -> bool:
        """Whether this is a check of the plugin as a whole."""
        return self.name.startswith("plugin.")

    def is_within(self, level: Level) -> bool:
        """Return whether the check runs at this level."""
        return LEVELS.index(self.level) <= LEVELS.index(level)

    def load(self) -> Callable[[Any], None]:
        """Import the check's function."""
        module_name, _, function = self.name.partition(".")
        body: Callable[[Any], None] = getattr(importlib.import_module(f"zoo.testing.checks.{module_name}"), function)
        return body


_HEAD = ("head.found", "forward.logits")
_CPU = ("head.replaced", "forward.smallest")
_LEARN = (*_CPU, "blocks.partition")

CHECKS: tuple[Check, ...] = (
    Check("plugin.imported", "static", "the module that the entry point refers to can be imported"),
    Check("plugin.light", "static", "listing does not import torch, torchvision, timm or numpy", ("plugin.imported",)),
    Check("plugin.quiet", "static",
          "listing prints nothing, and does not change the number of threads, the environment or the random state",
          ("plugin.imported",)),
    Check("plugin.requirements", "static", "the distribution's requirements are installed"),
    Check("plugin.namespace", "static", "only this distribution uses the namespace"),
    Check("plugin.api", "static", "the module declares a plugin API version (`ZOO_API`) that zoo accepts",
          ("plugin.imported",)),
    Check("plugin.hooks", "static", "every hook has a valid name, the `@hookimpl` marker and valid arguments",
          ("plugin.api",)),
    Check("plugin.listed", "static", "the listing hooks return specs", ("plugin.hooks",)),
    Check("plugin.version", "static", "`ZOO_API` is at least the version that added everything that the backbones use",
          ("plugin.listed",)),
    Check("plugin.names", "static", "no name is listed twice, ignoring case", ("plugin.listed",)),
    Check("plugin.datasets", "static", "every DatasetSpec is valid", ("plugin.listed",)),
    Check("plugin.sources", "static", "every SourceSpec is valid, and its prefix begins with the namespace",
          ("plugin.listed",)),
    Check("plugin.drawn", "cpu",
          "every data set with `make` is generated offline, can be read, and is the same every time",
          ("plugin.datasets",)),
    Check("plugin.finds", "cpu", "zoo_find_backbone returns None for a name that no backbone has", ("plugin.hooks",)),
    Check("plugin.tracked", "cpu",
          "event hooks accept the events of a real run, print nothing to stdout and change nothing",
          ("plugin.hooks",)),
    Check("spec.name", "static", "the name is valid and in the plugin's namespace"),
    Check("spec.fields", "static", "every field has the correct type"),
    Check("spec.input", "static", "sizes, crop, interpolation, mean and standard deviation of the input are valid"),
    Check("spec.weights", "static",
          "every WeightsSpec is valid and has a usable url, and a digest if the file is a pickle"),
    Check("spec.license", "static", "code and weights have a license with an SPDX identifier"),
    Check("spec.capabilities", "static", "all names in `supports`, `unsupported` and `expected_failures` exist"),
    Check("build.offline", "meta", "building opens no connection", ("spec.fields",)),
    Check("build.meta", "meta", "the model can be built without allocating memory", ("build.offline",), excuse="meta"),
    Check("build.fresh", "meta", "each build returns a new model", ("build.meta",)),
    Check("build.clean", "meta", "building prints nothing, and does not change settings of torch or the process",
          ("build.fresh",)),
    Check("build.params", "meta", "params is the number of parameters, without a head that zoo adds",
          ("build.fresh",)),
    Check("build.fixed", "meta", "`fixed` lists exactly the parameters with requires_grad=False", ("build.fresh",)),
    Check("head.added", "meta", "a model without a head returns features of shape (N, features)",
          ("build.fresh", "spec.input")),
    Check("forward.logits", "meta", "images of the declared size produce logits of shape (N, num_classes)",
          ("head.added",)),
    Check("build.weights", "meta",
          "the model of every tag can be built, and accepts the input size that its weights declare",
          ("forward.logits", "spec.weights")),
    Check("input.upstream", "meta",
          "zoo prepares drawn photos for the weights of every tag like upstream's own preprocessing",
          ("spec.fields", "spec.input")),
    Check("forward.refuses", "meta", "images with the wrong number of channels raise an error with a message",
          ("forward.logits",)),
    Check("head.found", "meta",
          "every head is a linear or convolutional layer with num_classes outputs, and every head parameter exists",
          ("build.fresh",)),
    Check("build.upstream", "meta",
          "where zoo cannot be imported, the constructor builds a network with the same tensor names and shapes, "
          "except for a head that zoo adds",
          ("head.found", "spec.input")),
    Check("build.files", "meta",
          "`run_files` returns valid JSON; if it is for transformers, transformers builds a network with the same "
          "tensor names and shapes from it",
          ("head.found", "spec.input")),
    Check("forward.smallest", "meta", "images of min_size also produce logits, including in training mode",
          (*_HEAD, "spec.capabilities")),
    Check("head.fed", "meta", "a forward pass calls each head once, with features that match its input width", _HEAD),
    Check("head.complete", "meta", "every head is declared, including those used only in training",
          (*_HEAD, "forward.smallest")),
    Check("head.replaced", "meta", "new heads for 1, 2 and 1000 classes produce that number of logits",
          ("head.complete",)),
    Check("head.alone", "meta", "replacing the heads changes nothing else", ("head.found",)),
    Check("head.typed", "meta", "a new head has the same dtype and device as the old one", ("head.found",)),
    Check("head.mlp", "meta", "the declared classifier can be replaced as a whole", ("head.replaced",)),
    Check("blocks.partition", "meta",
          "every parameter is in exactly one block or head, and all names of a shared parameter are in the same one",
          ("head.found",)),
    Check("blocks.buffers", "meta", "every running statistic of a batch norm is in exactly one block or head",
          ("blocks.partition",)),
    Check("blocks.order", "meta", "a forward pass uses the blocks in the declared order, and the heads last",
          ("blocks.partition", "forward.logits")),
    Check("blocks.several", "meta", "there are at least two blocks", ("blocks.partition", "spec.capabilities"),
          excuse="freezing"),
    Check("can.image_sizes", "meta", "larger and non-square images also produce logits", ("head.replaced",),
          "image_sizes"),
    Check("can.channels", "meta", "images with one and with five channels also produce logits, and only the weights of "
          "`first_conv` change for them", ("head.found", "forward.logits", "spec.capabilities"), "channels"),
    Check("build.repeatable", "cpu", "the same seed builds the same model, bit for bit", ("build.fresh",)),
    Check("forward.repeatable", "cpu", "the same images produce the same logits, bit for bit", _CPU),
    Check("forward.independent", "cpu", "an image's logits do not depend on the rest of its batch",
          ("forward.repeatable",)),
    Check("head.replayed", "cpu", "the head, run on its recorded input, returns the logits",
          ("forward.repeatable", "head.fed"), excuse="cached_features"),
    Check("learn.head", "cpu", "two training steps change every head and every head parameter", _LEARN),
    Check("learn.all", "cpu",
          "every trainable parameter gets a finite gradient, except for those in `unused`, which get none", _LEARN),
    Check("freeze.still", "cpu", "frozen parameters and buffers are bit-identical after two training steps",
          ("learn.head",)),
    Check("freeze.sticky", "cpu", "frozen modules stay frozen and in eval mode during training", ("learn.head",)),
    Check("freeze.reversible", "cpu",
          "unfreezing makes all parameters except those in `fixed` trainable again, and changes no module or name",
          _LEARN),
    Check("freeze.fixed", "cpu", "parameters with requires_grad=False are bit-identical after all layers were trained",
          ("learn.all",)),
    Check("save.roundtrip", "cpu",
          "a saved model loads strictly in a new process, with bit-identical tensors, and returns the same logits",
          ("forward.repeatable",)),
    Check("save.card", "cpu",
          "where zoo cannot be imported, the code of the model card returns the same logits from the saved model",
          ("save.roundtrip", "build.upstream")),
    Check("can.bf16", "cpu", "the logits in bf16 are nearly the same as in fp32", ("forward.repeatable",), "bf16"),
    Check("can.grayscale", "cpu",
          "a gray image produces the same logits with one channel as repeated for each of the declared channels",
          ("forward.repeatable", "can.channels"), "channels"),
    Check("can.gradient_checkpointing", "cpu",
          "gradient checkpointing recomputes layers and does not change the gradients", ("learn.all",),
          "gradient_checkpointing"),
    Check("can.export", "cpu", "torch.export returns a program with the same logits",
          ("forward.repeatable",), "export"),
    Check("can.compile", "cpu", "torch.compile returns a model with the same logits",
          ("forward.repeatable",), "compile"),
    Check("weights.fetched", "network", "all weights can be downloaded, and match the pinned digests",
          ("build.weights",)),
    Check("weights.converted", "network",
          "convert returns tensors of its own, prints nothing, and changes neither the model nor the process",
          ("weights.fetched",)),
    Check("weights.fit", "network",
          "all weights load strictly, except for the tensors listed in `lacks`, and their head has num_classes outputs",
          ("weights.converted",)),
    Check("weights.finite", "network", "all loaded tensors and the logits are finite", ("weights.fit",)),
    Check("weights.golden", "network", "the image that the conformance kit generates produces the declared logits",
          ("weights.fit",)),
)  # fmt: skip

BY_NAME = {check.name: check for check in CHECKS}
#: Old names of checks, which ``expected_failures`` may still contain, and their current names.
OLD_NAMES = {"spec.licence": "spec.license"}


def list_checks(*, of_plugin: bool) -> tuple[Check, ...]:
    """List the checks of a plugin as a whole, or the checks of each backbone."""
    return tuple(check for check in CHECKS if check.is_of_plugin == of_plugin)
