from __future__ import annotations

import dataclasses
from typing import Any

import pluggy
import pytest

from zoo.errors import PluginError
from zoo.plugin import (
    API_VERSION,
    BackboneSpec,
    BlockSpec,
    DatasetSpec,
    Hooks,
    InputSpec,
    SourceSpec,
    WeightsSpec,
    hookimpl,
)

SPECS = (InputSpec, WeightsSpec, BlockSpec, BackboneSpec, DatasetSpec, SourceSpec)
HOOKS = {
    "zoo_backbones": (),
    "zoo_find_backbone": ("name",),
    "zoo_datasets": (),
    "zoo_data_sources": (),
    "zoo_run_started": ("run",),
    "zoo_epoch_ended": ("run", "epoch"),
    "zoo_run_finished": ("run",),
}
V1 = WeightsSpec(tag="V1", url=None, license="MIT")
PETS = DatasetSpec(name="pets", description="Pets", license="MIT", url="https://example.org/p.zip")
V2 = WeightsSpec(tag="V2", url=None, license="MIT")


def make_backbone(*weights: WeightsSpec) -> BackboneSpec:
    return BackboneSpec(
        name="acme/net",
        family="acme",
        build=print,
        head=("fc",),
        blocks=(BlockSpec("stem", ("conv1",)),),
        params=5,
        license="MIT",
        weights=weights,
    )


def test_the_contract_is_version_1() -> None:
    assert API_VERSION == 2


def test_the_hooks_and_their_arguments_do_not_change() -> None:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    callers = {name: getattr(manager.hook, name) for name in vars(manager.hook) if not name.startswith("_")}
    assert {name: caller.spec.argnames for name, caller in callers.items()} == HOOKS


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_can_omit_arguments_and_every_hook_has_a_docstring(name: str) -> None:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(Hooks)
    module = type("Module", (), {name: staticmethod(hookimpl(lambda: "answer"))})
    manager.register(module)
    assert getattr(manager.hook, name)(**dict.fromkeys(HOOKS[name], "given")) == ["answer"]
    assert getattr(Hooks, name).__doc__


@pytest.mark.parametrize("spec", [InputSpec(), V1, BlockSpec("stem", ("conv1",)), make_backbone(), PETS])
def test_a_spec_cannot_be_changed(spec: Any) -> None:
    field = dataclasses.fields(spec)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(spec, field, None)
    assert not hasattr(spec, "__dict__")


@pytest.mark.parametrize("spec", SPECS)
def test_every_spec_has_a_docstring(spec: type) -> None:
    assert spec.__doc__
    assert not spec.__doc__.startswith(f"{spec.__name__}(")  # the docstring that dataclasses generates


def test_replace_rechecks_a_spec() -> None:
    with pytest.raises(PluginError, match="params=0"):
        dataclasses.replace(make_backbone(), params=0)


def test_the_first_weights_are_the_default() -> None:
    assert make_backbone(V2, V1).default_weights is V2
    assert make_backbone().default_weights is None


def test_equal_specs_compare_equal_and_are_hashable() -> None:
    assert len({make_backbone(V1), make_backbone(V1), make_backbone(V2)}) == 2


@pytest.mark.parametrize("field", ["unsupported", "expected_failures"])
def test_a_spec_with_reasons_is_hashable_and_differs_from_one_without(field: str) -> None:
    plain = make_backbone()
    named = {"unsupported": "export", "expected_failures": "can.export"}[field]
    excused = dataclasses.replace(plain, **{field: {named: "why"}})
    assert len({plain, excused, dataclasses.replace(plain, **{field: {named: "why"}})}) == 2


def test_a_spec_declares_no_capabilities_by_default() -> None:
    spec = make_backbone(V1)
    assert (spec.supports, spec.unsupported, spec.expected_failures, V1.logits) == ((), {}, {}, ())


def test_the_default_input_is_imagenet_at_224_pixels() -> None:
    spec = InputSpec()
    assert (spec.size, spec.resize, spec.crop, spec.interpolation) == ((3, 224, 224), 256, "center", "bilinear")
    assert spec.mean == (0.485, 0.456, 0.406)
    assert spec.std == (0.229, 0.224, 0.225)
