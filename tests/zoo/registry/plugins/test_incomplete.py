"""One wrong spec of many: the others can be used, and every list names the culprit."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from installed_sites import Site, hook
from zoo.errors import NameNotFound
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


class Slip(NamedTuple):
    source: str
    #: Backbones that are left.
    left: tuple[str, ...]
    #: Parts of the reason.
    says: tuple[str, ...]


SLIPS = {
    "raises-after-three": Slip(
        hook("for name in 'abcde':", "    yield spec({own: f'NAMESPACE/{own}' for own in 'abc'}[name])"),
        ("a", "b", "c"),
        ("zoo_backbones fails after NAMESPACE/c: KeyError: 'd'", "plugin_zoo_raises_after_three.py:"),
    ),
    "has-a-wrong-field-in-one": Slip(
        hook("return [spec('NAMESPACE/a'), spec('NAMESPACE/b', params='5M'), spec('NAMESPACE/c')]"),
        ("a", "c"),
        ("'NAMESPACE/b' has params='5M'", "plugin_zoo_has_a_wrong_field_in_one.py:"),
    ),
    "misspells-a-field-of-one": Slip(
        hook("return [spec('NAMESPACE/a'), spec('NAMESPACE/b', licens='MIT'), spec('NAMESPACE/c')]"),
        ("a", "c"),
        ("the BackboneSpec 'NAMESPACE/b' cannot be created", "argument 'licens'"),
    ),
    "has-a-wrong-part-in-one": Slip(
        hook("return [spec('NAMESPACE/a'), spec('NAMESPACE/b', input=InputSpec(size=(3, 0, 0)))]"),
        ("a",),
        ("NAMESPACE/b: InputSpec has size=(3, 0, 0)",),
    ),
    "lists-a-name-among-specs": Slip(
        hook("return [spec('NAMESPACE/a'), 'NAMESPACE/b', spec('NAMESPACE/c')]"),
        ("a", "c"),
        ("it lists 'NAMESPACE/b', which is not a BackboneSpec",),
    ),
    "lists-twice": Slip(
        hook("return [spec('NAMESPACE/a'), spec('NAMESPACE/b'), spec('NAMESPACE/a')]"),
        ("a", "b"),
        ("NAMESPACE/a more than once",),
    ),
    "lists-another-namespace": Slip(
        hook("return [spec('NAMESPACE/a'), spec('timm/b')]"), ("a",), ("timm/b; its names must begin with NAMESPACE/",)
    ),
    "has-two-slips": Slip(
        hook("return [spec('NAMESPACE/a'), spec('timm/b'), 3]"),
        ("a",),
        ("it lists 3, which", "`zoo check NAMESPACE` shows 1 more"),
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_one_wrong_spec_does_not_take_the_others_away(
    site: Site, load: Callable[[], dict[str, Plugin]], name: str
) -> None:
    slip = SLIPS[name]
    site.add(name, slip.source)
    plugin = load()[f"zoo-{name}"]
    assert (plugin.state, plugin.is_usable) == ("incomplete", True)
    assert [spec.name for spec in plugin.backbones] == [f"{name}/{left}" for left in slip.left]
    assert "\n" not in plugin.reason
    for part in slip.says:
        assert part.replace("NAMESPACE", name) in plugin.reason


def test_a_backbone_that_cannot_be_used_is_an_error_with_the_reason(
    site: Site, load: Callable[[], dict[str, Plugin]]
) -> None:
    site.add("slip", SLIPS["has-a-wrong-field-in-one"].source)
    registry = Registry(load().values(), RegistryToml())
    assert registry.resolve("slip/a").backbone.name == "slip/a"
    with pytest.raises(NameNotFound, match=r"no backbone 'slip/b': the plugin slip is incomplete: .* has params='5M'"):
        registry.resolve("slip/b")


def test_list_shows_the_rest_and_names_the_culprit(site: Site) -> None:
    site.add("slip", SLIPS["has-a-wrong-field-in-one"].source)
    result = site.run("list", "slip/*")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines() if line.startswith("slip/")] == ["slip/a", "slip/c"]
    assert "warning: plugin slip is incomplete: BackboneSpec 'slip/b' has params='5M'" in result.stderr


def test_a_wrong_data_set_does_not_take_the_backbones_away(site: Site, load: Callable[[], dict[str, Plugin]]) -> None:
    site.add("slip", hook("yield spec('NAMESPACE/a')") + hook("raise OSError('disk')", name="zoo_datasets"))
    plugin = load()["zoo-slip"]
    assert ([spec.name for spec in plugin.backbones], plugin.state) == (["slip/a"], "incomplete")
