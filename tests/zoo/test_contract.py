from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contract import (
    CAPABILITIES,
    DATASET_NAME,
    EXPECTED,
    FILE_SUFFIXES,
    NAMESPACE,
    NO_TAGS,
    QUALIFIED_NAME,
    TAG,
    check_backbone,
    checks_deferred,
)
from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec

WEIGHTS = WeightsSpec(tag="V1", url=None, licence="MIT")
BLOCK = BlockSpec("stem", ("conv1", "bn1"))

#: The fewest facts that make a good spec.
GOOD: dict[type, dict[str, Any]] = {
    InputSpec: {},
    WeightsSpec: {"tag": "V1", "url": "https://example.org/w.pth", "licence": "MIT"},
    BlockSpec: {"name": "stem", "prefixes": ("conv1",)},
    BackboneSpec: {
        "name": "acme/net",
        "family": "acme",
        "build": print,
        "head": ("fc",),
        "blocks": (BLOCK,),
        "params": 5,
        "licence": "MIT",
    },
    DatasetSpec: {"name": "pets", "description": "Pets", "licence": "unknown", "url": "https://example.org/p.zip"},
}

NO_TEXTS = (None, 3, "", "  ", ("MIT",), "a\nb", "\x1b[31m")
NO_COUNTS = (0, -1, 1.5, "3", True)
#: One of a channel's numbers is none.
NO_NUMBERS = ((math.nan, 0.5, 0.5), (math.inf, 0.5, 0.5), (True, True, True))
NO_PATHS = ("fc", ["fc"], ("fc", 3), None, {"fc"}, ("",), ("fc", "fc"), (" fc",), ("layer1. 0",))
NO_REASONS = (
    None,
    0,
    "",
    "slow",
    ["export"],
    {"export"},
    {"export": ""},
    {"export": None},
    {3: "slow"},
    {"export": "a\nb"},
)
#: Tags that ``--weights`` would take for files.
LIKE_FILES = tuple(f"v1{suffix}" for suffix in FILE_SUFFIXES)


def make_stranger(name: str) -> Any:
    """Make an object of a class of that name that is not ours: others have an InputSpec too."""
    return type(name, (), {"name": "stem", "tag": "V1", "__repr__": lambda _self: f"a foreign {name}"})()


#: What each field refuses.
WRONG: dict[type, dict[str, tuple[Any, ...]]] = {
    InputSpec: {
        "size": (
            (224, 224),
            [3, 224, 224],
            (3, 0, 224),
            (3, -1, 224),
            (3, 224.0, 224),
            224,
            None,
            (3, "224", 224),
            (True, 224, 224),
        ),
        "resize": (*NO_COUNTS, None),
        "crop": ("middle", None, ["center"], ""),
        "interpolation": ("lanczos", None, 2),
        "mean": ((0.5, 0.5), [0.5, 0.5, 0.5], 0.5, None, ("0.5", 0.5, 0.5), *NO_NUMBERS),
        "std": ((0.5, 0.5), [0.5, 0.5, 0.5], 0.5, None, (0.5, 0.0, 0.5), (0.5, -1, 0.5), *NO_NUMBERS),
        "min_size": NO_COUNTS,
    },
    WeightsSpec: {
        "tag": (None, "", "a b", "a/b", "-v1", "v1@x", "v\n", 1, *NO_TAGS, *LIKE_FILES),
        "url": ("", "example.org/w", "ftp://example.org/w", "hf://owner/name", "file://w", "https://example.org", 3),
        "licence": NO_TEXTS,
        "sha256": ("abc", "G" * 64, "A" * 64, "a" * 65, "a" * 7, 3, ""),
        "size": NO_COUNTS,
        "num_classes": NO_COUNTS,
        "accuracy": ("71.6", (71.6,), math.nan, math.inf, -1, 100.1, True),
        "input": ((3, 224, 224), {"size": (3, 224, 224)}, InputSpec, make_stranger("InputSpec")),
        "lacks": NO_PATHS,
        "logits": (None, [0.5], 0.5, ("0.5",), (0.5, math.nan), (math.inf,), (True,)),
    },
    BlockSpec: {"name": NO_TEXTS, "prefixes": (*NO_PATHS, ())},
    BackboneSpec: {
        "name": (None, "net", "acme/", "/net", "Acme/net", "acme/ne t", "acme/a/b", "acme/net@v1", "acme/net\n", 3),
        "family": NO_TEXTS,
        "build": (None, "acme.build", 3),
        "head": (*NO_PATHS, ()),
        "blocks": (None, (), [BLOCK], ("stem",), BLOCK, (BLOCK, BLOCK), (make_stranger("BlockSpec"),)),
        "params": (*NO_COUNTS, None),
        "licence": NO_TEXTS,
        "input": (None, (3, 224, 224), InputSpec, make_stranger("InputSpec")),
        "weights": (None, [WEIGHTS], ("V1",), WEIGHTS, (WEIGHTS, WEIGHTS), (make_stranger("WeightsSpec"),)),
        "num_classes": (*NO_COUNTS, None),
        "classifier": NO_TEXTS[1:],
        "aux_heads": NO_PATHS,
        "aux_weight": (-0.1, "0.4", None, math.nan, math.inf, True),
        "convert": ("convert", 3),
        "upstream": (*NO_TEXTS[1:], "timm", "==1.0", "timm>=1.0", "timm==", "timm==1.0 or so"),
        "constructor": NO_TEXTS[1:],
        "supports": (None, "bf16", ["bf16"], ("fp8",), ("bf16", 3), ("bf16", "bf16"), EXPECTED),
        "unsupported": (*NO_REASONS, {"fp8": "slow"}),
        "expected_failures": NO_REASONS,
    },
    DatasetSpec: {
        "name": (None, "", "a b", "a/b/c", "Acme/pets", "-pets", "pets\n", 3),
        "description": NO_TEXTS,
        "licence": NO_TEXTS,
        "url": (None, "example.org/p.zip", "", 3),
        "sha256": ("a" * 63, "a" * 8, "A" * 64, 3, ""),
        "size": NO_COUNTS,
        "root": (*NO_TEXTS, "..", "a/../../b", "a/..", "/etc", "a\\..\\b", "\\etc", "C:\\pets"),
        "make": (3, "draw"),
    },
}

#: What each field takes besides what GOOD has.
RIGHT: dict[type, dict[str, tuple[Any, ...]]] = {
    InputSpec: {
        "crop": ("center", "squash", "border"),
        "interpolation": ("nearest", "bilinear", "bicubic"),
        "mean": ((0, 0, 0), (-0.5, 0.5, 1.5)),
        "std": ((1, 1, 1),),
        "min_size": (None, 1, 32),
        "resize": (1, 256),
    },
    WeightsSpec: {
        "tag": ("V1", "tv_in1k", "a1.b-2", "1k", "none_v1", "safetensors", "v1.pth.1"),
        "url": (None, "http://example.org/a", "hf://owner/name/a/b.safetensors", "file:///w/a.pth"),
        "sha256": (None, "a" * 8, "0123456789abcdef" * 4),
        "size": (None, 1),
        "num_classes": (None, 1, 21841),
        "accuracy": (None, 71.592, 80, 0.0, 100.0),
        "input": (None, InputSpec()),
        "lacks": ((), ("fc", "head.bias")),
        "logits": ((), (0.5, -1, 2.25)),
    },
    BlockSpec: {"prefixes": (("a", "b.c"),)},
    BackboneSpec: {
        "name": ("acme/net", "a-b_1/Net-1.x", "acme/9"),
        "head": (("head", "head_dist"), lambda _model: ("fc",)),
        "blocks": ((BLOCK, BlockSpec("layer1", ("layer1",))), lambda _model: (BLOCK,)),
        "weights": ((), (WEIGHTS, dataclasses.replace(WEIGHTS, tag="V2"))),
        "classifier": (None, "classifier"),
        "aux_heads": ((), ("aux1", "aux2")),
        "aux_weight": (0, 0.4),
        "convert": (None, print),
        "upstream": (None, "timm==1.0.31"),
        "constructor": (None, "acme.net(num_classes={num_classes})"),
        "supports": ((), ("bf16",), CAPABILITIES),
        "unsupported": ({}, dict.fromkeys((*EXPECTED, *CAPABILITIES), "its stem is one layer")),
        "expected_failures": ({}, {"head.found": "known upstream"}),
    },
    DatasetSpec: {
        "name": ("pets", "acme/pets", "Pets-2.1"),
        "sha256": (None, "0123456789abcdef" * 4),
        "size": (None, 1),
        "root": (".", "a/b", "a/..b", "my pets"),
    },
}


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
def test_every_field_has_wrong_values_in_this_file(kind: type) -> None:
    assert {field.name for field in dataclasses.fields(kind)} == WRONG[kind].keys()


@pytest.mark.parametrize("kind", GOOD)
def test_the_fewest_facts_make_a_spec(kind: type) -> None:
    spec = kind(**GOOD[kind])
    assert {field: getattr(spec, field) for field in GOOD[kind]} == GOOD[kind]


@pytest.mark.parametrize(("kind", "field", "value"), flatten(RIGHT))
def test_a_good_value_is_kept(kind: type, field: str, value: Any) -> None:
    assert getattr(kind(**{**GOOD[kind], field: value}), field) == value


@pytest.mark.parametrize(("kind", "field", "value"), flatten(WRONG))
def test_a_wrong_value_is_refused_and_the_field_named(kind: type, field: str, value: Any) -> None:
    others = {"url": None} if field == "make" else {}  # of these two a data set has one
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
def test_a_refusal_names_the_spec(kind: type, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PluginError) as caught:
        kind(**{**GOOD[kind], **changes})
    assert str(caught.value).startswith(says)


def test_a_long_value_is_shortened_in_the_refusal() -> None:
    with pytest.raises(PluginError) as caught:
        BlockSpec("stem", tuple(range(1000)))  # type: ignore[arg-type]
    assert "..." in str(caught.value)
    assert len(str(caught.value)) < 250


def test_two_blocks_or_weights_of_one_name_are_named() -> None:
    with pytest.raises(PluginError, match=r"blocks=\['stem', 'stem'\].*differ"):
        BackboneSpec(**{**GOOD[BackboneSpec], "blocks": (BLOCK, BLOCK)})
    with pytest.raises(PluginError, match=r"weights=\['V1', 'V1'\].*differ"):
        BackboneSpec(**{**GOOD[BackboneSpec], "weights": (WEIGHTS, WEIGHTS)})


def test_means_and_deviations_are_as_many_as_channels() -> None:
    grey = InputSpec(size=(1, 28, 28), mean=(0.1,), std=(0.3,))
    assert grey.size[0] == len(grey.mean) == len(grey.std)
    with pytest.raises(PluginError, match="a tuple of 1 numbers"):
        InputSpec(size=(1, 28, 28))


def test_a_data_set_is_fetched_or_drawn_but_not_both() -> None:
    drawn = {**GOOD[DatasetSpec], "url": None, "make": print}
    assert DatasetSpec(**drawn).make is print
    for url, make in ((None, None), ("https://example.org/p.zip", print)):
        with pytest.raises(PluginError, match="it must be given, or make must be"):
            DatasetSpec(**{**drawn, "url": url, "make": make})


@pytest.mark.parametrize("value", [*NO_TAGS, *LIKE_FILES])
def test_a_tag_that_weights_would_take_for_something_else_is_refused_with_that_reason(value: str) -> None:
    with pytest.raises(PluginError, match="--weights means something else by this one"):
        WeightsSpec(tag=value, url=None, licence="MIT")


@pytest.mark.parametrize("name", CAPABILITIES)
def test_no_capability_is_both_supported_and_not(name: str) -> None:
    with pytest.raises(PluginError, match=rf"supports=\('{name}',\).*without {name}, which unsupported has as well"):
        BackboneSpec(**{**GOOD[BackboneSpec], "supports": (name,), "unsupported": {name: "slow"}})


# Checks that wait.


def test_while_checks_are_deferred_a_wrong_spec_can_be_made_and_is_refused_when_it_is_checked() -> None:
    with checks_deferred():
        spec = BackboneSpec(**{**GOOD[BackboneSpec], "params": 0})
    with pytest.raises(PluginError, match="params=0"):
        check_backbone(spec)


@pytest.mark.parametrize("kind", GOOD)
def test_specs_of_every_kind_wait_and_none_does_afterwards(kind: type) -> None:
    field = next(field for field, values in WRONG[kind].items() if None in values)
    wrong = {**GOOD[kind], field: None}
    with checks_deferred():
        assert getattr(kind(**wrong), field) is None
    with pytest.raises(PluginError, match=f"has {field}=None"):
        kind(**wrong)


def test_checks_no_longer_wait_after_an_error() -> None:
    with pytest.raises(OSError, match="why"), checks_deferred():
        raise OSError("why")
    with pytest.raises(PluginError, match="prefixes"):
        BlockSpec("stem", ())


def test_checks_wait_until_the_outer_one_ends() -> None:
    with checks_deferred():
        with checks_deferred():
            BlockSpec("stem", ())
        assert BlockSpec("stem", ()).prefixes == ()


# Any value.

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


def make(kind: type, field: str, value: Any) -> Any:
    """Make a spec, or return why it is refused."""
    try:
        return kind(**{**GOOD[kind], field: value})
    except PluginError as error:
        return error


@given(kind=st.sampled_from(list(GOOD)), data=st.data())
@settings(deadline=None)
def test_any_value_is_kept_or_refused_as_the_plugin_s_fault(kind: type, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([field.name for field in dataclasses.fields(kind)]))
    value = data.draw(ANYTHING)
    made = make(kind, field, value)
    if isinstance(made, PluginError):
        assert f"has {field}=" in str(made) or field in {"size", "make"}  # they decide what others must be
    else:
        assert getattr(made, field) is value


# Names.


@given(name=st.from_regex(QUALIFIED_NAME, fullmatch=True))
@settings(deadline=None)
def test_a_qualified_name_is_a_namespace_and_a_name_without_a_tag(name: str) -> None:
    namespace, slash, rest = BackboneSpec(**{**GOOD[BackboneSpec], "name": name}).name.partition("/")
    assert slash
    assert NAMESPACE.fullmatch(namespace)
    assert TAG.fullmatch(rest)
    assert name.isascii()


@pytest.mark.parametrize("pattern", [NAMESPACE, QUALIFIED_NAME, DATASET_NAME, TAG])
@given(data=st.data())
@settings(deadline=None)
def test_no_name_holds_what_the_command_line_gives_a_meaning(pattern: Any, data: st.DataObject) -> None:
    name = data.draw(st.from_regex(pattern, fullmatch=True))
    assert not set(name) & set("@:*?[], \t\n\\")
    assert not name.startswith(("-", ".", "/"))
    assert ".." not in name.split("/")


@given(name=st.text(max_size=8))
@settings(deadline=None)
def test_of_any_text_only_a_plain_word_is_a_namespace(name: str) -> None:
    plain = bool(name) and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") and name[0].isalpha()
    assert bool(NAMESPACE.fullmatch(name)) == plain
