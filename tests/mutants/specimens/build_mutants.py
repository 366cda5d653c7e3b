"""Backbones whose builders have side effects, or that are not built as declared."""

from __future__ import annotations

import importlib
import os
import random
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specimens.good import INPUT, declare_masked, declare_tokens, declare_weights
from specimens.register import built, declared

if TYPE_CHECKING:
    from torch import nn


@built({"build.offline": "building connects to ('localhost', 9); declare weights as a WeightsSpec"})
def connects(_model: Any, _torch: Any) -> None:
    with suppress(OSError):
        socket.create_connection(("localhost", 9))


@built({"build.offline": "building connects to weights.localhost"})
def looks_up_an_address(_model: Any, _torch: Any) -> None:
    socket.getaddrinfo("weights.localhost", 80)


@built({"build.offline": "building connects to ('localhost', 9)"})
def connects_with_a_keyword_argument(_model: Any, _torch: Any) -> None:
    with suppress(OSError):
        socket.create_connection(address=("localhost", 9))


@built({"build.offline": "building connects to ('localhost', 9)"})
def connects_without_an_error(_model: Any, _torch: Any) -> None:
    with socket.socket() as connection, suppress(OSError):
        connection.connect_ex(("localhost", 9))


@built({"build.meta": "); correct this line; build(None) must return the network with random weights"})
def raises(_model: Any, _torch: Any) -> None:
    raise ValueError("no such depth")


@built({"build.meta": "add the distribution that contains upstream_of_nobody to the dependencies in pyproject.toml"})
def imports_what_is_missing(_model: Any, _torch: Any) -> None:
    importlib.import_module("upstream_of_nobody")


@built({"build.meta": "correct the name in this line, or require a version of upstream that has it"})
def uses_a_missing_name(_model: Any, torch: Any) -> None:
    torch.nn.Conv7d(3, 8, 3)


@built({"build.meta": "correct the arguments in this line; zoo calls build(tag), where tag is None for random"})
def passes_an_unknown_argument(_model: Any, torch: Any) -> None:
    torch.nn.Linear(3, outputs=4)


@built({"build.meta": "build must not read files outside the plugin's package; add the file to the package"})
def reads_a_missing_file(_model: Any, _torch: Any) -> None:
    Path("/absent/config.json").read_text()


@built({"build.meta": "do not read tensor values, which tensors on the meta device lack, or declare"})
def reads_values(model: Any, _torch: Any) -> None:
    assert model.stem[0].weight.mean().item() < 1


@built({"build.meta": "its build returns a OrderedDict, not an nn.Module (/"})
def is_not_a_module(model: Any, _torch: Any) -> nn.Module:
    return model.state_dict()  # type: ignore[no-any-return]  # the fault


@built({"build.fresh": "layer1.0.weight, layer1.0.bias (2 in all) has no shape yet; run the model once in build()"})
def is_not_initialized(model: Any, torch: Any) -> None:
    model.layer1[0] = torch.nn.LazyConv2d(8, 3, padding=1)


@built({"build.fresh": "building returns a DataParallel around the model; return the model itself"})
def is_in_data_parallel(model: Any, torch: Any) -> nn.Module:
    return torch.nn.DataParallel(model)  # type: ignore[no-any-return]  # a model


declared(
    "fixed-undeclared",
    {"build.fixed": "the model has requires_grad=False for mask (1 in all); declare it in fixed"},
    lambda: {"fixed": ()},
    of=declare_masked,
)

declared(
    "fixed-that-learns",
    {"build.fixed": "fixed declares layer1.0.bias, layer1.0.weight (2 in all), which require gradients in the model"},
    lambda: {"fixed": ("mask", "layer1.0")},
    of=declare_masked,
)

declared(
    "fixed-unknown",
    {"build.fixed": "fixed has the prefix masks, which no parameter of the model has; similar names: mask, "},
    lambda: {"fixed": ("mask", "masks")},
    of=declare_masked,
)

declared(
    "fixed-in-a-list",
    {"build.fixed": "mutants/fixed-in-a-list returned ['mask']; it must return a tuple of prefixes"},
    lambda: {"fixed": lambda _model: ["mask"]},
    of=declare_masked,
)


SHARED: dict[str, Any] = {}


@built({"build.fresh": "building returns the same model object every time; build a new one each time"})
def is_built_once(model: Any, _torch: Any) -> nn.Module:
    return SHARED.setdefault("model", model)  # type: ignore[no-any-return]  # a model


@built({"build.fresh": "two builds share layer1.0.weight, layer1.0.bias, layer1.1.weight (4 in all); build every part"})
def shares_a_stage(model: Any, _torch: Any) -> None:
    model.layer1 = SHARED.setdefault("layer1", model.layer1)


@built({"build.clean": "building prints 'ready'; leave that to the caller"})
def prints(model: Any, _torch: Any) -> None:
    if model.stem[0].weight.is_meta:  # On the CPU, it would print into the output of the tests.
        print("ready")  # noqa: T201  # the fault


@built({"build.clean": "building changes os.environ"})
def changes_the_environment(_model: Any, _torch: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = "7"


@built({"build.clean": "building changes Python's random state"})
def seeds_python(_model: Any, _torch: Any) -> None:
    random.seed(4)


@built({"build.clean": "building changes torch's seed"})
def seeds_torch(_model: Any, torch: Any) -> None:
    torch.manual_seed(4)


@built({"build.clean": "building changes cuDNN's benchmark mode from False to True"})
def enables_cudnn_benchmarking(_model: Any, torch: Any) -> None:
    torch.backends.cudnn.benchmark = True


@built({"build.clean": "building changes the number of running threads from"})
def starts_threads(_model: Any, _torch: Any) -> None:
    threading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()


declared(
    "wrong-params",
    {"build.params": "params is 2,375, but the model has 2,374; declare 2374"},
    lambda: {"params": 2375},
)


declared(
    "tag-for-larger-images",
    {"build.weights": "as built for V2, it fails on images of shape (3, 32, 32): "},
    lambda: {"weights": (declare_weights(tag="V2", input=replace(INPUT, size=(3, 32, 32))),)},
    of=declare_tokens,
)


def build_with_a_connection(tag: str | None) -> nn.Module:
    from specimens.networks import ConvNet

    if tag is not None:
        with suppress(OSError):
            socket.create_connection(("localhost", 9))
    return ConvNet(10)


declared(
    "tag-that-is-downloaded",
    {"build.weights": "building for V1 connects to ('localhost', 9); zoo downloads the weights"},
    lambda: {"build": build_with_a_connection, "weights": (declare_weights(),)},
)


def build_for(tag: str | None) -> nn.Module:
    from specimens.networks import ConvNet

    return ConvNet({None: 10, "V1": 20}[tag])


declared(
    "tag-with-more-classes",
    {"build.weights": "as built for V1, it returns (2, 20) for images of shape (3, 16, 16), not (2, 10); build(tag)"},
    lambda: {"build": build_for, "weights": (declare_weights(),)},
)
declared(
    "tag-that-build-does-not-know",
    {"build.weights": "cannot be built: KeyError: 'V2'"},
    lambda: {"build": build_for, "weights": (declare_weights(tag="V2"),)},
)

declared(
    "constructor-of-a-different-network",
    {
        "build.upstream": "builds a different network in line 2, 'model = specimens.networks.AuxNet(num_classes=2)': "
        "aux.2.bias, aux.2.weight (2 in all) differ"
    },
    lambda: {"constructor": "specimens.networks.AuxNet(num_classes={num_classes})"},
)
declared(
    "constructor-with-another-activation",
    {"save.card": "the network of its constructor returns different logits with the same parameters; the constructor"},
    lambda: {
        "constructor": "from torch import nn\nfrom specimens.networks import ConvNet\n\n"
        "model = ConvNet({num_classes})\nmodel.classifier[1] = nn.Sigmoid()"
    },
)
declared(
    "constructor-without-the-hook-that-selects-the-logits",
    {"save.card": "its constructor raises TypeError: model returns a tuple, not logits in line"},
    lambda: {
        "constructor": "from specimens.networks import ConvNet\n\nmodel = ConvNet({num_classes})\n"
        "model.register_forward_hook(lambda model, images, output: (output, images))"
    },
)
declared(
    "constructor-without-num-classes",
    {"build.upstream": ": classifier.3.bias, classifier.3.weight (2 in all) differ; correct"},
    lambda: {"constructor": "specimens.networks.ConvNet(num_classes=10)"},
)
declared(
    "constructor-that-does-not-exist",
    {
        "build.upstream": "raises AttributeError: module 'specimens.networks' has no attribute 'OldNet' in line 2, "
        "'model = specimens.networks.OldNet(2)'; correct the constructor"
    },
    lambda: {"constructor": "specimens.networks.OldNet({num_classes})"},
)
declared(
    "constructor-that-needs-zoo",
    {"build.upstream": "raises ModuleNotFoundError: No module named 'zoo' in line 1, 'import specimens.plugin' ("},
    lambda: {"constructor": "specimens.plugin.ConvNet({num_classes})"},
)
declared(
    "constructor-that-needs-zoo-late",
    {"build.upstream": "No module named 'zoo' in line 2, 'import zoo.plugin'; the constructor must work where zoo is"},
    lambda: {
        "constructor": "from specimens.networks import ConvNet\nimport zoo.plugin\nmodel = ConvNet({num_classes})"
    },
)
declared(
    "constructor-with-a-wrong-line",
    {"build.upstream": "raises NameError: name 'Net' is not defined in line 3, 'model = Net(2)'; correct"},
    lambda: {"constructor": "from specimens.networks import ConvNet\n\nmodel = Net({num_classes})"},
)
declared(
    "constructor-with-a-syntax-error",
    {"build.upstream": "raises SyntaxError: "},
    lambda: {"constructor": "from specimens.networks import ConvNet\nmodel = ConvNet({num_classes}"},
)
declared(
    "constructor-that-exits",
    {"build.upstream": "ends the process with exit code 3"},
    lambda: {"constructor": "import os\nmodel = os._exit(3)"},
)
declared(
    "lines-that-assign-nothing",
    {"spec.fields": "lines that assign model, or None"},
    lambda: {"constructor": "from specimens.networks import ConvNet\nConvNet({num_classes})"},
)

declared(
    "outdated-excuse-for-the-meta-device",
    {"build.meta": "it declares meta unsupported (it reads values), but supports it; remove the entry"},
    lambda: {"unsupported": {"meta": "it reads values"}},
)


@built({"build.offline": "cannot be built: ValueError: no such depth"}, unsupported={"meta": "it reads values"})
def raises_on_the_cpu_too(_model: Any, _torch: Any) -> None:
    raise ValueError("no such depth")


@built({"build.fresh": "building returns the same model object every time"}, unsupported={"meta": "it reads values"})
def is_built_once_on_the_cpu(model: Any, _torch: Any) -> nn.Module:
    assert model.stem[0].weight.mean().item() < 1
    return SHARED.setdefault("cpu", model)  # type: ignore[no-any-return]  # a model


@built({"build.params": "params is 2,374, but the model has 2,390"}, unsupported={"meta": "it reads values"})
def has_more_parameters_on_the_cpu(model: Any, torch: Any) -> None:
    assert model.stem[0].weight.mean().item() < 1
    model.stem.append(torch.nn.BatchNorm2d(8))


@built({"build.repeatable": "differ in classifier.3.bias (1 in all); draw random numbers only from torch's"})
def uses_a_different_generator(model: Any, torch: Any) -> None:
    torch.nn.init.constant_(model.classifier[3].bias, random.SystemRandom().random())
