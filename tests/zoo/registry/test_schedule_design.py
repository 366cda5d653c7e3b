from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import OptionError
from zoo.registry.recipe import Recipe
from zoo.registry.schedule_design import SCHEDULES, ScheduleDesign


@pytest.mark.parametrize(
    ("text", "size", "gamma"),
    [
        ("step", 7, 0.1),
        ("step:7", 7, 0.1),
        ("step:7,0.1", 7, 0.1),
        ("step:30,.5", 30, 0.5),
        ("step:1,1e-3", 1, 0.001),
    ],
)
def test_step_has_a_step_size_and_a_gamma(text: str, size: int, gamma: float) -> None:
    assert ScheduleDesign.parse(text) == ScheduleDesign("step", size, gamma)


@pytest.mark.parametrize("kind", [kind for kind in SCHEDULES if kind != "step"])
def test_the_other_schedules_are_names(kind: str) -> None:
    assert str(ScheduleDesign.parse(kind)) == kind


@pytest.mark.parametrize(
    "text",
    ["", "Step", "steps", "step:", "step:0", "step:-1", "step:1.5", "step:7,", "step:7,0", "step:7,1", "step:7,2",
     "step:7,nan", "step:7,-0.1", "step:7,0.1,3", "step:,0.1", "step: 7", "step:7, 0.1", "step:10000000", "step:٣",
     "step:7,1e-999", f"step:7,0.{'1' * 5000}", "cosine:7", "constant,"],
)  # fmt: skip
def test_an_invalid_schedule_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        ScheduleDesign.parse(text)
    assert str(caught.value) == (
        f"invalid `schedule` {text!r}; choose from onecycle, cosine, step, plateau, constant, or step:N,FACTOR, which "
        "multiplies the learning rate by FACTOR, above 0 and below 1, every N epochs, such as step:7,0.1."
    )


@given(st.integers(1, 9_999_999), st.floats(1e-100, 1, exclude_max=True))
@settings(deadline=None)
def test_a_printed_schedule_is_parsed_back(size: int, gamma: float) -> None:
    design = ScheduleDesign("step", size, gamma)
    assert ScheduleDesign.parse(str(design)) == design


@pytest.mark.parametrize("text", ["step", "step:7", "step:7,0.10"])
def test_a_recipe_records_the_numbers_of_step(text: str) -> None:
    assert Recipe(schedule=text).schedule == "step:7,0.1"
    assert Recipe(schedule=text) == Recipe(schedule="step")
