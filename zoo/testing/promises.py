"""The promises of a plugin and its backbones, in the order in which they are checked.

A check's name is its address: ``head.found`` is the function ``found`` of `zoo.testing.checks.head`. The function takes
a plugin, a declaration or a backbone. It returns nothing if the promise is kept, and raises `CheckFailed` or
`NotApplicable` if it is not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

#: Levels; each includes the ones before it. ``static`` checks the declarations, ``meta`` a model without values,
#: ``cpu`` a model that computes, ``network`` published weights.
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
    #: Word that a backbone must have in ``supports`` to make the promise.
    capability: str | None = None
    #: Word that a backbone may have in ``unsupported``; the check runs all the same, to find an outdated excuse.
    excuse: str | None = None

    @property
    def is_of_plugin(self) -> bool:
        """Whether it checks the plugin as a whole."""
        return self.name.startswith("plugin.")

    def is_within(self, level: Level) -> bool:
        """Return whether the check runs on this level."""
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
    Check("plugin.imported", "static", "the module behind the entry point can be imported"),
    Check("plugin.light", "static", "listing imports no torch, torchvision, timm or numpy", ("plugin.imported",)),
    Check("plugin.quiet", "static",
          "listing prints nothing, and does not change threads, environment or random numbers",
          ("plugin.imported",)),
    Check("plugin.requirements", "static", "the distribution's requirements are installed"),
    Check("plugin.namespace", "static", "the namespace belongs to the distribution, and to no other one"),
    Check("plugin.api", "static", "the module declares the version of the contract that zoo supports",
          ("plugin.imported",)),
    Check("plugin.hooks", "static", "every hook has the name, the marker and the arguments of a hook", ("plugin.api",)),
    Check("plugin.listed", "static", "the listing hooks return specs", ("plugin.hooks",)),
    Check("plugin.names", "static", "no name is listed twice, ignoring case", ("plugin.listed",)),
    Check("plugin.datasets", "static", "every data set has a valid description", ("plugin.listed",)),
    Check("plugin.drawn", "cpu", "every drawn data set is drawn offline, and is the same every time",
          ("plugin.datasets",)),
    Check("spec.name", "static", "the name is valid and in the plugin's namespace"),
    Check("spec.fields", "static", "every field has its type"),
    Check("spec.input", "static", "sizes, crop, interpolation, mean and standard deviation of the input are valid"),
    Check("spec.weights", "static", "all weights can be found and verified, and have different tags"),
    Check("spec.license", "static", "code and weights have a license with an SPDX identifier"),
    Check("spec.capabilities", "static", "capabilities and expected failures exist"),
    Check("build.offline", "meta", "building opens no connection", ("spec.fields",)),
    Check("build.meta", "meta", "the model can be built without memory, and is a new one each time",
          ("build.offline",)),
    Check("build.clean", "meta", "building prints nothing, and does not change settings of torch or the process",
          ("build.meta",)),
    Check("build.params", "meta", "params is the number of parameters", ("build.meta",)),
    Check("forward.logits", "meta", "images of the declared size produce logits of shape (N, num_classes)",
          ("build.meta", "spec.input")),
    Check("build.weights", "meta", "the model of every tag can be built, and takes the input of its weights",
          ("forward.logits", "spec.weights")),
    Check("forward.refuses", "meta", "images with another number of channels raise an error that says so",
          ("forward.logits",)),
    Check("head.found", "meta", "every head is a linear or convolutional layer with num_classes outputs",
          ("build.meta",)),
    Check("build.upstream", "meta", "the constructor builds a network with the same tensors",
          ("head.found", "spec.input")),
    Check("forward.smallest", "meta", "images of min_size produce logits as well, also in training",
          (*_HEAD, "spec.capabilities")),
    Check("head.fed", "meta", "a forward pass calls each head once, with features of its own width", _HEAD),
    Check("head.complete", "meta", "every head is declared, also those that only training uses",
          (*_HEAD, "forward.smallest")),
    Check("head.replaced", "meta", "new heads for 1, 2 and 1000 classes produce that number of logits",
          ("head.complete",)),
    Check("head.alone", "meta", "replacing the heads changes nothing else", ("head.found",)),
    Check("head.typed", "meta", "a new head has the old one's dtype and device", ("head.found",)),
    Check("head.mlp", "meta", "the declared classifier can be replaced as a whole", ("head.replaced",)),
    Check("blocks.partition", "meta", "every parameter is in exactly one block or head, under all of its names",
          ("head.found",)),
    Check("blocks.buffers", "meta", "every batch statistic is in exactly one block or head", ("blocks.partition",)),
    Check("blocks.order", "meta", "a forward pass uses the blocks in the declared order, and the heads last",
          ("blocks.partition", "forward.logits")),
    Check("blocks.several", "meta", "there are at least two blocks", ("blocks.partition", "spec.capabilities"),
          excuse="freezing"),
    Check("can.image_sizes", "meta", "larger images, and oblong ones, produce logits, too", ("head.replaced",),
          "image_sizes"),
    Check("build.repeatable", "cpu", "the same seed builds the same model, bit for bit", ("build.meta",)),
    Check("forward.repeatable", "cpu", "the same images produce the same logits, bit for bit", _CPU),
    Check("forward.independent", "cpu", "an image's logits do not depend on the rest of its batch",
          ("forward.repeatable",)),
    Check("head.replayed", "cpu", "the head, run on its recorded input, returns the logits",
          ("forward.repeatable", "head.fed"), excuse="cached_features"),
    Check("learn.head", "cpu", "two training steps change every head", _LEARN),
    Check("learn.all", "cpu", "every trainable parameter gets a finite gradient", _LEARN),
    Check("freeze.still", "cpu", "two training steps do not change frozen parameters and buffers, bit for bit",
          ("learn.head",)),
    Check("freeze.sticky", "cpu", "frozen modules stay frozen and in eval mode during training", ("learn.head",)),
    Check("freeze.reversible", "cpu", "unfreezing makes every parameter trainable again, and changes no module or name",
          _LEARN),
    Check("save.roundtrip", "cpu",
          "a saved model loads strictly in a fresh process, bit for bit, and returns the same logits",
          ("forward.repeatable",)),
    Check("can.bf16", "cpu", "the logits in bf16 are nearly the same", ("forward.repeatable",), "bf16"),
    Check("can.gradient_checkpointing", "cpu", "set_grad_checkpointing() does not change the gradients",
          ("learn.all",), "gradient_checkpointing"),
    Check("can.export", "cpu", "torch.export returns a program with the same logits",
          ("forward.repeatable",), "export"),
    Check("can.compile", "cpu", "torch.compile returns a model with the same logits",
          ("forward.repeatable",), "compile"),
    Check("weights.fetched", "network", "all weights can be downloaded, and match the pinned digests",
          ("build.weights",)),
    Check("weights.fit", "network",
          "all weights load strictly, except for what they declare to lack, with a head of num_classes",
          ("weights.fetched",)),
    Check("weights.finite", "network", "all loaded tensors and the logits are finite", ("weights.fit",)),
    Check("weights.golden", "network", "the kit's image produces the declared logits", ("weights.fit",)),
)  # fmt: skip

BY_NAME = {check.name: check for check in CHECKS}
#: Old names of checks, which ``expected_failures`` may still contain, and their present names.
OLD_NAMES = {"spec.licence": "spec.license"}


def list_checks(*, of_plugin: bool) -> tuple[Check, ...]:
    """List the checks of a plugin as a whole, or those of each backbone."""
    return tuple(check for check in CHECKS if check.is_of_plugin == of_plugin)
