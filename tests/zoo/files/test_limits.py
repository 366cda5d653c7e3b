"""Every limit has one variable, whose value must be valid, and is in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo.cli import cli
from zoo.errors import OptionError
from zoo.files.limits import LIMITS, MAX_CLASSES, MAX_WORKERS, Limit, check_limits

ROOT = Path(__file__).parents[3]
UNITS = ((2**30, "GiB"), (2**20, "MiB"))


@pytest.fixture(params=LIMITS, ids=lambda limit: limit.variable, name="limit")
def _limit(request: pytest.FixtureRequest) -> Limit:
    found: Limit = request.param
    return found


def test_the_variable_replaces_the_default(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit.read() == limit.default >= limit.least
    monkeypatch.setenv(limit.variable, "")
    assert limit.read() == limit.default
    monkeypatch.setenv(limit.variable, "12345")
    assert limit.read() == 12345


@pytest.mark.parametrize("value", ["20G", "-1", "1.5", "1e9", "none", " 7", "0x10", "1_000", "\u0663", "9" * 5000])
def test_a_value_that_is_not_a_whole_number_is_an_error(
    limit: Limit, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(limit.variable, value)
    with pytest.raises(OptionError, match=f"{limit.variable} must be a whole number of {limit.unit}, at least"):
        limit.read()


def test_zero_is_an_error_unless_it_makes_sense(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limit.variable, "0")
    if limit.least == 0:
        assert limit.read() == 0
    else:
        with pytest.raises(OptionError, match="at least 1, got '0'"):
            limit.read()


def test_an_excess_is_explained_with_both_numbers_and_the_variable(limit: Limit) -> None:
    measured = limit.default + 1
    assert limit.explain(measured) == (
        f"{measured:,} {limit.unit}, but {limit.variable} allows only {limit.default:,}; to allow this, set"
        f" {limit.variable} to {measured} or more"
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ZOO_MAX_PIXELS", "89 million", "ZOO_MAX_PIXELS must be a whole number of pixels, at least 1, got"),
        ("ZOO_MAX_PIXEL", "5", "there is no limit ZOO_MAX_PIXEL; the limits are ZOO_CACHE_LIMIT, "),
    ],
)
def test_every_command_refuses_invalid_and_unknown_limits(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_limits()
    monkeypatch.setenv(variable, value)
    with pytest.raises(OptionError):
        check_limits()
    result = CliRunner().invoke(cli, ["cache", "list"])
    assert result.exit_code == 1
    assert message in result.output


def format_default(limit: Limit) -> str:
    for size, name in UNITS:
        if limit.unit == "bytes" and limit.default % size == 0:
            return f"{limit.default // size} {name}"
    return f"{limit.default:,} {limit.unit}"


def test_the_reference_has_every_limit() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    section = page.partition("\n## Limits\n")[2].partition("\n## ")[0]
    rows = [f"| `{limit.variable}` | {format_default(limit)} | {limit.bounds} | {limit.reason} |" for limit in LIMITS]
    assert re.findall(r"^\| `.*$", section, flags=re.MULTILINE) == rows
    assert f"{MAX_CLASSES:,} classes" in section
    assert f"{MAX_WORKERS} workers" in section
