"""The plugin of the mutant backbones, with additional backbones for other tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

from specimens import (  # noqa: F401  # each registers its mutants
    blocks_mutants,
    build_mutants,
    can_mutants,
    forward_mutants,
    head_mutants,
    input_mutants,
    learn_mutants,
    output_mutants,
    run_files_mutants,
    spec_mutants,
    weights_mutants,
)
from specimens.good import declare_aux, declare_conv
from specimens.register import MUTANTS
from zoo.plugin import BackboneSpec, hookimpl

ZOO_API = 2


def exit_at_once(_tag: str | None) -> NoReturn:
    os._exit(3)


def abort(_tag: str | None) -> NoReturn:
    os.abort()


@hookimpl
def zoo_backbones() -> Iterator[BackboneSpec]:
    yield from (mutant.declare() for mutant in MUTANTS.values())
    yield declare_conv("mutants/good")
    yield declare_conv("mutants/exits", build=exit_at_once)
    yield declare_conv("mutants/aborts", build=abort)
    yield declare_aux(
        "mutants/excused", aux_weight=0.0, expected_failures={"learn.all": "upstream's loss needs labels"}
    )
