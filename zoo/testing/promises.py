"""Every promise of a plugin and its backbones, in the order in which they are checked.

A check's name is its address: ``head.found`` is the function ``found`` of `zoo.testing.checks.head`. It is given what
it looks at, returns nothing where the promise is kept, and raises `CheckFailed` or `NotApplicable` where it is not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

#: Each includes the ones before it. ``static`` checks the declarations, ``meta`` at a model without memory, ``cpu``
#: at a model that computes, ``network`` at published weights.
Level = Literal["static", "meta", "cpu", "network"]
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True)
class Check:
    """One promise."""

    name: str
    level: Level
    promise: str
    #: Checks that must not fail for this one to run.
    needs: tuple[str, ...] = ()
    #: What a backbone must support, or must not exclude, for the promise to be made.
    capability: str | None = None
    #: What a backbone may declare as unsupported; the check runs all the same, so that no excuse outlives its cause.
    excuse: str | None = None

    @property
    def is_of_plugin(self) -> bool:
        """Whether it is of the plugin as a whole."""
        return self.name.startswith("plugin.")

    def is_within(self, level: Level) -> bool:
        """Whether it runs on this level."""
        return LEVELS.index(self.level) <= LEVELS.index(level)

    def load(self) -> Callable[[Any], None]:
        """Import its function."""
        module_name, _, function = self.name.partition(".")
        body: Callable[[Any], None] = getattr(importlib.import_module(f"zoo.testing.checks.{module_name}"), function)
        return body


_HEAD = ("head.found", "forward.logits")
_CPU = ("head.replaced", "forward.smallest")
_LEARN = (*_CPU, "blocks.partition")

CHECKS: tuple[Check, ...] = (
    Check("plugin.imported", "static", "the module behind the entry point can be imported"),
    Check("plugin.light", "static", "listing imports no torch, torchvision, timm or numpy", ("plugin.imported",)),
    Check("plugin.quiet", "static", "listing prints nothing and leaves threads, environment and random numbers alone",
          ("plugin.imported",)),
    Check("plugin.requirements", "static", "what the distribution requires is installed"),
    Check("plugin.namespace", "static", "the namespace belongs to the distribution, and to no other"),
    Check("plugin.api", "static", "the module states the version of the contract that zoo speaks",
          ("plugin.imported",)),
    Check("plugin.hooks", "static", "every hook has a hook's name, marker and arguments", ("plugin.api",)),
    Check("plugin.listed", "static", "the hooks that list return specs", ("plugin.hooks",)),
    Check("plugin.names", "static", "no name is listed twice, whatever its case", ("plugin.listed",)),
    Check("plugin.datasets", "static", "every data set is described validly", ("plugin.listed",)),
    Check("plugin.drawn", "cpu", "every data set that is drawn is drawn offline, and the same every time",
          ("plugin.datasets",)),
    Check("spec.name", "static", "the name is valid and in the plugin's namespace"),
    Check("spec.fields", "static", "every field is of its type"),
    Check("spec.input", "static", "sizes, crop, interpolation, mean and standard deviation of the input are valid"),
    Check("spec.weights", "static", "all weights can be found, verified and told apart"),
    Check("spec.license", "static", "code and weights have a license, by its SPDX identifier"),
    Check("spec.capabilities", "static", "capabilities and expected failures exist"),
    Check("build.offline", "meta", "building opens no connection", ("spec.fields",)),
    Check("build.meta", "meta", "the model can be built, anew each time, and without memory", ("build.offline",)),
    Check("build.clean", "meta", "building prints nothing and leaves torch's and the process's settings alone",
          ("build.meta",)),
    Check("build.params", "meta", "params is the number of parameters", ("build.meta",)),
    Check("forward.logits", "meta", "an image of the declared size gives logits of shape (N, num_classes)",
          ("build.meta", "spec.input")),
    Check("build.weights", "meta", "the model of every tag can be built and takes the input of its weights",
          ("forward.logits", "spec.weights")),
    Check("forward.refuses", "meta", "an image with another number of channels is an error that says so",
          ("forward.logits",)),
    Check("head.found", "meta", "every head is a linear or convolutional layer with num_classes outputs",
          ("build.meta",)),
    Check("build.upstream", "meta", "the constructor builds a network with the same tensors",
          ("head.found", "spec.input")),
    Check("forward.smallest", "meta", "an image of min_size does as well, in training too",
          (*_HEAD, "spec.capabilities")),
    Check("head.fed", "meta", "each head is called once, with features of its own width", _HEAD),
    Check("head.complete", "meta", "no head is forgotten, in training either", (*_HEAD, "forward.smallest")),
    Check("head.replaced", "meta", "new heads for 1, 2 and 1000 classes give logits of that many columns",
          ("head.complete",)),
    Check("head.alone", "meta", "nothing but the heads changes when they are replaced", ("head.found",)),
    Check("head.typed", "meta", "a new head has the dtype and device of the old one", ("head.found",)),
    Check("head.mlp", "meta", "the declared classifier can be replaced whole", ("head.replaced",)),
    Check("blocks.partition", "meta", "every parameter, under all its names, is in one block or head", ("head.found",)),
    Check("blocks.buffers", "meta", "every batch statistic is in one block or head", ("blocks.partition",)),
    Check("blocks.order", "meta", "blocks are used in the order in which they are declared, heads last",
          ("blocks.partition", "forward.logits")),
    Check("blocks.several", "meta", "there are at least two blocks", ("blocks.partition", "spec.capabilities"),
          excuse="freezing"),
    Check("can.image_sizes", "meta", "larger images, and oblong ones, give logits too", ("head.replaced",),
          "image_sizes"),
    Check("build.repeatable", "cpu", "the same seed builds the same model, bit for bit", ("build.meta",)),
    Check("forward.repeatable", "cpu", "the same images give the same logits, bit for bit", _CPU),
    Check("forward.independent", "cpu", "an image's logits do not depend on what else is in the batch",
          ("forward.repeatable",)),
    Check("head.replayed", "cpu", "the head, run on the features that entered it, gives the logits",
          ("forward.repeatable", "head.fed"), excuse="cached_features"),
    Check("learn.head", "cpu", "two steps of training move every head", _LEARN),
    Check("learn.all", "cpu", "every parameter that learns gets a finite gradient", _LEARN),
    Check("freeze.still", "cpu", "two steps of training leave frozen parameters and buffers as they were, bit for bit",
          ("learn.head",)),
    Check("freeze.sticky", "cpu", "what is frozen stays frozen and in eval mode in training", ("learn.head",)),
    Check("freeze.reversible", "cpu", "unfreezing brings every gradient back, and no module or name ever changes",
          _LEARN),
    Check("save.roundtrip", "cpu", "a saved model loads strictly in a fresh process, bit for bit, to the same logits",
          ("forward.repeatable",)),
    Check("can.bf16", "cpu", "in bf16 the logits are nearly the same", ("forward.repeatable",), "bf16"),
    Check("can.gradient_checkpointing", "cpu", "set_grad_checkpointing() leaves the gradients as they are",
          ("learn.all",), "gradient_checkpointing"),
    Check("can.export", "cpu", "torch.export gives a program with the same logits", ("forward.repeatable",), "export"),
    Check("can.compile", "cpu", "torch.compile gives a model with the same logits", ("forward.repeatable",), "compile"),
    Check("weights.fetched", "network", "all weights can be fetched, and are what was pinned", ("build.weights",)),
    Check("weights.fit", "network",
          "all weights load strictly, but for what they are known to lack, with a head of num_classes",
          ("weights.fetched",)),
    Check("weights.finite", "network", "every loaded tensor is finite, and so are the logits", ("weights.fit",)),
    Check("weights.golden", "network", "the image that the kit draws gives the declared logits", ("weights.fit",)),
)  # fmt: skip

BY_NAME = {check.name: check for check in CHECKS}


def list_checks(*, of_plugin: bool) -> tuple[Check, ...]:
    """List the checks of a plugin as a whole, or those of each backbone."""
    return tuple(check for check in CHECKS if check.is_of_plugin == of_plugin)
