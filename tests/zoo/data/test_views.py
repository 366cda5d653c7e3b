from __future__ import annotations

import torch

from zoo.data.transform import build_eval_transform
from zoo.data.views import build_views_transform
from zoo.plugin import InputSpec

SPEC = InputSpec(size=(3, 16, 16), resize=20)


def draw(height: int = 40, width: int = 30) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_the_first_image_is_that_of_the_evaluation() -> None:
    views = build_views_transform(SPEC, 3).reduce(draw())
    assert views.shape == (4, 3, 16, 16)
    assert torch.equal(views[0], build_eval_transform(SPEC).reduce(draw()))


def test_the_views_differ_and_depend_only_on_the_image() -> None:
    first, again = (build_views_transform(SPEC, 3).reduce(draw()) for _ in range(2))
    assert torch.equal(first, again)
    assert len({view.numpy().tobytes() for view in first}) == 4


def test_the_views_do_not_depend_on_their_number() -> None:
    assert torch.equal(build_views_transform(SPEC, 2).reduce(draw()), build_views_transform(SPEC, 5).reduce(draw())[:3])


def test_a_single_pixel_has_views() -> None:
    assert build_views_transform(SPEC, 2).reduce(draw(1, 1)).shape == (3, 3, 16, 16)
