"""`zoo.surgery` edits networks by dotted path, and refuses changes that would have no effect."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.errors import NameNotFound, OptionError
from zoo.models.surgery import append, insert, remove, replace, truncate

SHAPE = (2, 3, 8, 8)


class Net(nn.Module):
    """A network with an nn.Sequential, an nn.ModuleList, a module that is never called, and a fixed forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 5)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.pair = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.unused = nn.Linear(2, 2)
        self.shortcut = None

    def forward(self, images: Tensor) -> Tensor:
        values = self.features(images).mean((2, 3))
        for layer in self.layers:
            values = layer(values)
        logits: Tensor = self.head(self.pair[0](values))
        return logits


def list_names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_modules() if name]


def run(model: nn.Module) -> torch.Size:
    with torch.no_grad():
        output: Tensor = model.eval()(torch.zeros(SHAPE))
    return output.shape


def test_the_other_modules_of_a_sequential_keep_their_names() -> None:
    model = Net()
    assert remove(model, "features.1", example=SHAPE) is model
    assert [*dict(model.features.named_children())] == ["0", "2", "3"]
    insert(model, "features", 1, nn.Dropout(), example=SHAPE)
    assert [*dict(model.features.named_children())] == ["0", "4", "2", "3"]
    assert run(model) == (2, 5)


def test_a_module_list_is_renumbered() -> None:
    model = Net()
    second = model.layers[1]
    remove(model, "layers.0", example=SHAPE)
    assert [*model.layers] == [second] == [model.layers[0]]
    insert(model, "layers", 0, first := nn.Linear(4, 4), example=SHAPE)
    assert [*model.layers] == [first, second] == [model.layers[0], model.layers[1]]


def test_a_module_that_the_forward_pass_names_becomes_an_identity() -> None:
    model = remove(Net(), "head", example=SHAPE)
    assert isinstance(model.head, nn.Identity)
    assert run(model) == (2, 4)


def test_a_replacement_runs_and_has_the_mode_of_the_model() -> None:
    model = Net().eval()
    replace(model, "features.1", nn.Sequential(nn.GELU(), nn.Dropout()), example=SHAPE)
    assert not any(module.training for module in model.modules())
    assert isinstance(model.features[1], nn.Sequential)


@pytest.mark.parametrize("example", [None, SHAPE, torch.zeros(SHAPE)], ids=["none", "shape", "tensor"])
def test_a_module_appended_to_a_sequential_runs(example: Tensor | tuple[int, ...] | None) -> None:
    model, new = Net(), nn.ReLU()
    append(model, "features", new, example=example)
    called: list[nn.Module] = []
    new.register_forward_hook(lambda module, _inputs, _output: called.append(module))
    run(model)
    assert called == [new]


@pytest.mark.parametrize("path", ["", "pair"])
def test_a_module_that_would_never_run_is_refused(path: str) -> None:
    model, names = Net(), list_names(Net())
    with pytest.raises(OptionError, match=r"may never call a new module; add it to an nn\.Sequential, such as feat"):
        append(model, path, nn.ReLU())
    with pytest.raises(OptionError, match=r"never calls the new module .*the change was undone"):
        append(model, path, nn.ReLU(), example=SHAPE)
    assert list_names(model) == names


def test_a_module_that_already_runs_elsewhere_does_not_count_as_called() -> None:
    model = Net()
    with pytest.raises(OptionError, match="never calls the new module"):
        append(model, "", model.features[1], example=SHAPE)


def test_a_replacement_for_a_module_that_is_never_called_is_refused() -> None:
    with pytest.raises(OptionError, match="never calls unused, so a replacement would have no effect"):
        replace(Net(), "unused", nn.Linear(2, 2), example=SHAPE)


def test_a_module_that_only_lends_its_parameters_can_be_replaced() -> None:
    model = nn.Sequential(nn.MultiheadAttention(4, 1))
    attention = model[0]

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = attention

        def forward(self, values: Tensor) -> Tensor:
            output: Tensor = self.attention(values, values, values)[0]
            return output

    new = nn.modules.linear.NonDynamicallyQuantizableLinear(4, 4)
    replace(Attending(), "attention.out_proj", new, example=(1, 2, 4))
    assert attention.out_proj is new


CHANGES: dict[str, Callable[[nn.Module], nn.Module]] = {
    "remove": lambda model: remove(model, "features.0", example=SHAPE),
    "replace": lambda model: replace(model, "head", nn.Linear(3, 3), example=SHAPE),
    "append": lambda model: append(model, "features", nn.Conv2d(7, 7, 1), example=SHAPE),
    "insert": lambda model: insert(model, "layers", 1, nn.Linear(7, 7), example=SHAPE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_breaks_the_forward_pass_is_undone(name: str) -> None:
    model = Net()
    before = [*model.named_modules()]
    with pytest.raises(OptionError, match=r"the forward pass of Net fails after this change.*undone.*: RuntimeError"):
        CHANGES[name](model)
    assert [*model.named_modules()] == before
    assert run(model) == (2, 5)


def test_a_change_can_repair_what_an_earlier_one_broke() -> None:
    model = replace(Net(), "head", nn.Linear(6, 5))
    replace(model, "layers.1", nn.Linear(4, 6), example=SHAPE)
    assert run(model) == (2, 5)


def test_an_example_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(OptionError, match="the forward pass of Net fails after this change"):
        remove(Net(), "features.1", example=(1, 4, 8, 8))
    with pytest.raises(OptionError, match="Net cannot process the `example`, so the order of its modules is unknown"):
        truncate(Net(), "features.1", example=(1, 4, 8, 8))


def test_later_modules_are_removed_or_become_identities() -> None:
    model = truncate(Net(), "features.1")
    assert [*dict(model.features.named_children())] == ["0", "1"]
    assert [type(layer) for layer in (*model.layers, *model.pair)] == [nn.Identity] * 4
    assert isinstance(model.head, nn.Linear)  # It is defined first.
    assert model.shortcut is None


def test_with_an_example_later_means_called_later() -> None:
    model = truncate(nn.Sequential(Net()), "0.layers.0", example=SHAPE)[0]
    assert isinstance(model.head, nn.Identity)
    assert len(model.layers) == 1
    assert isinstance(model.unused, nn.Linear)
    assert run(model) == (2, 4)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("features.9", r"Net has no module 'features\.9': features \(Sequential\) has the modules 0, 1, 2, 3"),
        ("fetures", "Net has no module 'fetures': it has the modules head, features, layers, pair, unused; did you "),
        ("head.0", r"head \(Linear\) has no modules"),
        ("shortcut", "Net has no module 'shortcut'"),
    ],
)
@pytest.mark.parametrize("change", [remove, truncate, lambda model, path: append(model, path, nn.ReLU())])
def test_a_path_that_does_not_exist_is_an_error_that_lists_the_modules_near_it(
    change: Callable[[nn.Module, str], nn.Module], path: str, message: str
) -> None:
    with pytest.raises(NameNotFound, match=message):
        change(Net(), path)


def test_the_model_itself_cannot_be_removed_and_an_index_must_exist() -> None:
    with pytest.raises(OptionError, match="the path is empty; name a module in Net, such as head"):
        remove(Net(), "")
    with pytest.raises(OptionError, match="features has 4 children; there is no index 5"):
        insert(Net(), "features", 5, nn.ReLU())


def test_the_public_name_is_the_module() -> None:
    assert zoo.surgery.remove is remove


@pytest.fixture
def torchvision_models() -> None:
    pytest.importorskip("zoo_torchvision")


@pytest.mark.usefixtures("torchvision_models")
def test_upstreams_weights_fit_what_is_left_of_alexnet() -> None:
    with torch.device("meta"):
        model, whole = (zoo.build("alexnet", weights="none") for _ in range(2))
    for path in ("classifier.4", "classifier.5"):
        remove(model, path, example=(1, 3, 224, 224))
    kept = model.state_dict().keys()
    assert whole.state_dict().keys() - kept == {"classifier.4.weight", "classifier.4.bias"}
    assert kept < whole.state_dict().keys()


@pytest.mark.usefixtures("torchvision_models")
def test_a_block_of_resnet50_is_replaced_and_the_tutorials_mistake_is_refused() -> None:
    with torch.device("meta"):
        model = zoo.build("resnet50", weights="none")
    block = nn.Sequential(nn.Conv2d(1024, 2048, 3, stride=2, padding=1), nn.BatchNorm2d(2048), nn.ReLU())
    replace(model, "layer4", block, example=(1, 3, 224, 224))
    with pytest.raises(OptionError, match="ResNet, whose forward pass does not simply run its children in order"):
        append(model, "", nn.Linear(1000, 2))
    with pytest.raises(OptionError, match="never calls the new module"):
        append(model, "", nn.Linear(1000, 2), example=(1, 3, 224, 224))
    truncate(model, "layer3", example=(1, 3, 64, 64))
    assert isinstance(model.fc, nn.Identity)
