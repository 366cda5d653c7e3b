from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.testing.results.result import BAD, STATUSES, Result, Status, count_statuses


def make_results(*statuses: Status) -> list[Result]:
    return [Result("acme/net", f"sample.{number}", status) for number, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        ((), "0 pass of 0"),
        (("pass",), "1 pass of 1"),
        (("pass", "fail", "pass"), "2 pass, 1 fail of 3"),
        (("not-run", "not-run"), "0 pass of 2 (2 not run)"),
        (("pass", "n/a", "not-run"), "1 pass, 1 n/a of 3 (1 not run)"),
        (("xpass", "xfail", "error"), "1 error, 1 xfail, 1 xpass of 3"),
        (("pass",) * 1234, "1,234 pass of 1,234"),
    ],
)
def test_results_are_counted_by_status(statuses: tuple[Status, ...], shown: str) -> None:
    assert count_statuses(make_results(*statuses)) == shown


@given(statuses=st.lists(st.sampled_from(STATUSES)))
def test_the_counts_add_up_to_the_total(statuses: list[Status]) -> None:
    shown = count_statuses(make_results(*statuses)).replace("(", "").replace(",", "")
    counts, _, rest = shown.partition(" of ")
    total, *not_run = rest.split()
    assert int(total) == len(statuses)
    assert sum(int(word) for word in [*counts.split(), *not_run] if word.isdigit()) == len(statuses)


def test_only_undeclared_failures_and_outdated_declarations_count_as_failures() -> None:
    assert {"fail", "error", "xpass"} == BAD
    assert set(STATUSES) - BAD == {"pass", "xfail", "n/a", "not-run"}
