"""Run the kit on mutants, and compare its results with the expected ones."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from typing import Any
from unittest.mock import patch

import torch

from specimens.plugin import MUTANTS
from specimens.plugin_mutants import PLUGIN_MUTANTS
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import Check
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import Scope, check_backbone, check_plugin


def get_fails(name: str) -> Mapping[str, str]:
    """Map the checks that must fail for a mutant to a part of each message."""
    if name in MUTANTS:
        return MUTANTS[name].fails
    return {check: message.replace("NAMESPACE", name) for check, message in PLUGIN_MUTANTS[name].fails.items()}


def list_mutants(check: str) -> list[str]:
    """List the mutants that a check must reject."""
    return [name for name in (*PLUGIN_MUTANTS, *MUTANTS) if check in get_fails(name)]


def judge(name: str, plugin: PluginUnderTest | None = None, only: str = "") -> list[Result]:
    """Check a mutant: a plugin with its backbones, or one backbone of a loaded plugin."""
    with settings_kept():
        if name in MUTANTS:
            assert plugin is not None, "a backbone is checked with its plugin"
            backbone = dict(zip(MUTANTS, plugin.backbones, strict=False))[name]
            return check_backbone(plugin, backbone, Scope("network", only))
        plugin, scope = examine(name), Scope("static", only)
        of_backbones = [check_backbone(plugin, backbone, scope) for backbone in plugin.backbones]
        return [
            *check_plugin(plugin, Scope("cpu", only)),
            *(result for results in of_backbones for result in results),
        ]


def find_disagreement(results: Iterable[Result], fails: Mapping[str, str]) -> str:
    """Describe how the results differ from the expected ones; return an empty string if they do not."""
    bad = {result.check: result for result in results if result.status in BAD}
    lines = [f"{name} is {bad[name].status}: {bad[name].reason}" for name in sorted(bad.keys() - fails.keys())]
    for name, message in fails.items():
        if name not in bad:
            lines.append(f"{name} does not fail")
        elif message not in bad[name].reason:
            lines.append(f"{name} does not say {message!r}, but: {bad[name].reason}")
    return "\n".join(lines)


@contextmanager
def emptied(name: str) -> Iterator[None]:
    """Replace a check's function with one that does nothing."""
    load = Check.load

    def load_or_not(check: Check) -> Callable[[Any], None]:
        return load(check) if check.name != name else lambda _backbone: None

    with patch.object(Check, "load", load_or_not):
        yield


@contextmanager
def settings_kept() -> Iterator[None]:
    """Restore what mutants change in this process, and suppress their prints and warnings."""
    with ExitStack() as undo:
        undo.callback(torch.set_rng_state, torch.get_rng_state())
        undo.callback(random.setstate, random.getstate())
        undo.enter_context(patch.dict(os.environ))
        undo.enter_context(torch.backends.cudnn.flags(enabled=True))
        undo.enter_context(redirect_stdout(StringIO()))
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield
