"""The option ``train`` is parsed once."""

from __future__ import annotations

import pytest

from zoo.errors import OptionError
from zoo.registry.train_scope import KINDS, Term, TrainScope


@pytest.mark.parametrize("text", [*KINDS, "from:layer4", "from:blocks.11", "from:a:b"])
def test_a_printed_scope_is_parsed_back(text: str) -> None:
    assert str(TrainScope.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "everything", "from:", "from", "Head", "all ", "all:stem", "head:x", "from:\nstem"]
)
def test_anything_else_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        TrainScope.parse(text)
    assert repr(text) in str(caught.value)
    assert all(kind in str(caught.value) for kind in (*KINDS, "from:BLOCK"))


def test_only_head_is_head_only_and_only_two_kinds_have_phases() -> None:
    scopes = [TrainScope.parse(text) for text in (*KINDS, "from:x")]
    assert [scope.is_head_only for scope in scopes] == [True, False, False, False, False]
    assert [scope.is_phased for scope in scopes] == [False, False, True, True, False]


@pytest.mark.parametrize(
    "text",
    ["norms", "biases", "!stem", "head,layer4", "all,!norms", "from:layer3,!type:Conv2d", "*.bn?", "head,type:A.b"],
)
def test_terms_are_parsed_and_printed_back(text: str) -> None:
    scope = TrainScope.parse(text)
    assert (scope.kind, str(scope)) == ("terms", text)
    assert (scope.is_head_only, scope.is_phased) == (False, False)


def test_each_term_has_a_kind_and_spaces_are_ignored() -> None:
    assert TrainScope.parse("head, from:layer3, ! *.bn1 ,norms,type:Conv2d,layer4").terms == (
        Term("head"),
        Term("from", "layer3"),
        Term("name", "*.bn1", is_negated=True),
        Term("norms"),
        Term("type", "Conv2d"),
        Term("name", "layer4"),
    )


@pytest.mark.parametrize("text", ["head,", ",", "!", "head,!", "type:", "head,from:", "head,a\nb", "!!"])
def test_an_invalid_term_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(OptionError, match=r"in `train`; a term is a block, a pattern .* or type:CLASS"):
        TrainScope.parse(text)


@pytest.mark.parametrize("text", ["head,gradual", "!head-then-all"])
def test_phases_cannot_be_combined_with_terms(text: str) -> None:
    with pytest.raises(OptionError, match="sequence of phases, which cannot be combined"):
        TrainScope.parse(text)


def test_a_single_block_is_refused_because_it_would_freeze_the_head() -> None:
    with pytest.raises(OptionError, match="such as head,layer4"):
        TrainScope.parse("layer4")
