from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from field_values import BLOCK, GOOD, LIKE_FILES, RIGHT, WEIGHTS, WRONG
from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec
from zoo.plugin.backbone_spec import QUALIFIED_NAME, check_backbone
from zoo.plugin.capabilities import CAPABILITIES
from zoo.plugin.dataset_spec import DATASET_NAME
from zoo.plugin.fields import NAMESPACE, checks_deferred
from zoo.plugin.weights_spec import NO_TAGS, TAG


def flatten(table: dict[type, dict[str, tuple[Any, ...]]]) -> list[Any]:
    return [
        pytest.param(
            kind, field, value, id=f"{kind.__name__}-{field}-{'function' if callable(value) else repr(value):.30}"
        )
        for kind, fields in table.items()
        for field, values in fields.items()
        for value in values
    ]


@pytest.mark.parametrize("kind", GOOD)
def test_the_table_has_invalid_values_for_every_field(kind: type) -> None:
    assert {field.name for field in dataclasses.fields(kind)} == WRONG[kind].keys()


@pytest.mark.parametrize("kind", GOOD)
def test_the_required_fields_are_enough_for_a_spec(kind: type) -> None:
    spec = kind(**GOOD[kind])
    assert {field: getattr(spec, field) for field in GOOD[kind]} == GOOD[kind]


@pytest.mark.parametrize(("kind", "field", "value"), flatten(RIGHT))
def test_a_valid_value_is_kept(kind: type, field: str, value: Any) -> None:
    assert getattr(kind(**{**GOOD[kind], field: value}), field) == value


@pytest.mark.parametrize(("kind", "field", "value"), flatten(WRONG))
def test_an_invalid_value_is_refused_and_the_error_names_the_field(kind: type, field: str, value: Any) -> None:
    others = {"url": None} if field == "make" else {}  # A data set has either url or make.
    with pytest.raises(PluginError) as caught:
        kind(**{**GOOD[kind], **others, field: value})
    message = str(caught.value)
    assert message.startswith(kind.__name__)
    assert f"has {field}=" in message
    assert "it must be" in message


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (BackboneSpec, {"params": 0}, "BackboneSpec 'acme/net' has params=0"),
        (WeightsSpec, {"size": 0}, "WeightsSpec 'V1' has size=0"),
        (BlockSpec, {"prefixes": ()}, "BlockSpec 'stem' has prefixes=()"),
        (DatasetSpec, {"size": 0}, "DatasetSpec 'pets' has size=0"),
        (InputSpec, {"resize": 0}, "InputSpec has resize=0"),
        (BackboneSpec, {"name": "x"}, "BackboneSpec has name='x'"),
    ],
)
def test_the_error_names_the_spec(kind: type, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PluginError) as caught:
        kind(**{**GOOD[kind], **changes})
    assert str(caught.value).startswith(says)


def test_the_error_shortens_a_long_value() -> None:
    with pytest.raises(PluginError) as caught:
        BlockSpec("stem", tuple(range(1000)))  # type: ignore[arg-type]
    assert "..." in str(caught.value)
    assert len(str(caught.value)) < 250


def test_duplicate_block_names_and_tags_are_refused_and_listed() -> None:
    with pytest.raises(PluginError, match=r"blocks=\['stem', 'stem'\].*distinct names"):
        BackboneSpec(**{**GOOD[BackboneSpec], "blocks": (BLOCK, BLOCK)})
    with pytest.raises(PluginError, match=r"weights=\['V1', 'V1'\].*distinct tags"):
        BackboneSpec(**{**GOOD[BackboneSpec], "weights": (WEIGHTS, WEIGHTS)})


def test_mean_and_std_have_one_number_per_channel() -> None:
    gray = InputSpec(size=(1, 28, 28), mean=(0.1,), std=(0.3,))
    assert gray.size[0] == len(gray.mean) == len(gray.std)
    with pytest.raises(PluginError, match="a tuple of 1 numbers"):
        InputSpec(size=(1, 28, 28))


def test_a_data_set_has_either_a_url_or_make_or_a_source() -> None:
    fields = {**GOOD[DatasetSpec], "url": None, "make": print}
    assert DatasetSpec(**fields).make is print
    url, source = "https://example.org/p.zip", "hf:owner/name"
    for several in ((None, None, None), (url, print, None), (url, None, source), (None, print, source)):
        with pytest.raises(PluginError, match="it must be set if make and source are None"):
            DatasetSpec(**{**fields, **dict(zip(("url", "make", "source"), several, strict=True))})
    for wrong in ({"root": "photos"}, {"sha256": "a" * 64}):
        with pytest.raises(PluginError, match="if source is set"):
            DatasetSpec(**{**fields, "make": None, "source": source, **wrong})


@pytest.mark.parametrize("value", [*NO_TAGS, *LIKE_FILES])
def test_a_tag_that_the_weights_option_would_misread_is_refused(value: str) -> None:
    with pytest.raises(PluginError, match="this one has a special meaning for `weights`"):
        WeightsSpec(tag=value, url=None, license="MIT")


@pytest.mark.parametrize("name", CAPABILITIES)
def test_a_capability_cannot_be_both_supported_and_unsupported(name: str) -> None:
    with pytest.raises(
        PluginError, match=rf"supports=\('{name}',\).*without {name}, because unsupported also contains it"
    ):
        BackboneSpec(**{**GOOD[BackboneSpec], "supports": (name,), "unsupported": {name: "slow"}})


# Deferred checks.


def test_an_invalid_spec_can_be_created_while_checks_are_deferred_and_is_refused_later() -> None:
    with checks_deferred():
        spec = BackboneSpec(**{**GOOD[BackboneSpec], "params": 0})
    with pytest.raises(PluginError, match="params=0"):
        check_backbone(spec)


@pytest.mark.parametrize("kind", GOOD)
def test_checks_are_deferred_for_every_kind_of_spec_and_only_inside_the_block(kind: type) -> None:
    field = next(field for field, values in WRONG[kind].items() if None in values)
    wrong = {**GOOD[kind], field: None}
    with checks_deferred():
        assert getattr(kind(**wrong), field) is None
    with pytest.raises(PluginError, match=f"has {field}=None"):
        kind(**wrong)


def test_an_error_inside_the_block_ends_the_deferral() -> None:
    with pytest.raises(OSError, match="why"), checks_deferred():
        raise OSError("why")
    with pytest.raises(PluginError, match="prefixes"):
        BlockSpec("stem", ())


def test_checks_are_deferred_until_the_outermost_block_ends() -> None:
    with checks_deferred():
        with checks_deferred():
            BlockSpec("stem", ())
        assert BlockSpec("stem", ()).prefixes == ()


# Arbitrary values.
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


def make(kind: type, field: str, value: Any) -> Any:
    """Create a spec, or return the error that refuses it."""
    try:
        return kind(**{**GOOD[kind], field: value})
    except PluginError as error:
        return error


@given(kind=st.sampled_from(list(GOOD)), data=st.data())
@settings(deadline=None)
def test_any_value_is_kept_or_refused_with_a_plugin_error(kind: type, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([field.name for field in dataclasses.fields(kind)]))
    value = data.draw(ANYTHING)
    made = make(kind, field, value)
    if isinstance(made, PluginError):
        assert f"has {field}=" in str(made) or field in {"size", "make"}  # Other fields depend on these two.
    else:
        assert getattr(made, field) is value


# Names.


@given(name=st.from_regex(QUALIFIED_NAME, fullmatch=True))
@settings(deadline=None)
def test_a_qualified_name_consists_of_a_namespace_and_a_name_without_a_tag(name: str) -> None:
    namespace, slash, rest = BackboneSpec(**{**GOOD[BackboneSpec], "name": name}).name.partition("/")
    assert slash
    assert NAMESPACE.fullmatch(namespace)
    assert all(TAG.fullmatch(part) for part in rest.split("/"))
    assert name.isascii()


@pytest.mark.parametrize("pattern", [NAMESPACE, QUALIFIED_NAME, DATASET_NAME, TAG])
@given(data=st.data())
@settings(deadline=None)
def test_no_name_contains_characters_with_a_meaning_on_the_command_line(pattern: Any, data: st.DataObject) -> None:
    name = data.draw(st.from_regex(pattern, fullmatch=True))
    assert not set(name) & set("@:*?[], \t\n\\")
    assert not name.startswith(("-", ".", "/"))
    assert ".." not in name.split("/")


@given(name=st.text(max_size=8))
@settings(deadline=None)
def test_only_a_plain_lowercase_word_is_a_namespace(name: str) -> None:
    plain = bool(name) and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and name[0].isalpha()
    assert bool(NAMESPACE.fullmatch(name)) == plain
