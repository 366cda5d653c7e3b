"""The option ``train`` is parsed once."""

from __future__ import annotations

import pytest

from zoo.errors import OptionError
from zoo.registry.train_scope import KINDS, TrainScope


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
