"""Every plugin gets the events of a run, until it fails on one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from made_registries import make_plugin, resolve
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


def test_every_plugin_gets_the_events_and_only_the_failing_one_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[str] = []

    def fail(epoch: Any) -> None:
        events.append(f"bad {epoch['epoch']}")
        raise SystemExit(1)

    def follow(epoch: Any) -> None:
        sys.stdout.write("tracked\n")
        events.append(f"good {epoch['epoch']}")

    bad, good = make_plugin("bad", zoo_epoch_ended=fail), make_plugin("good", zoo_epoch_ended=follow)
    registry = Registry([bad, good], RegistryToml())
    assert registry.announce("zoo_epoch_ended", run={}, epoch={"epoch": 1}) == [
        "plugin bad failed in zoo_epoch_ended: SystemExit: 1; it receives no more events in this run"
    ]
    assert registry.announce("zoo_epoch_ended", run={}, epoch={"epoch": 2}) == []
    assert events == ["bad 1", "good 1", "good 2"]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "tracked\ntracked\n"


def test_plugins_without_the_hook_are_skipped() -> None:
    registry = Registry([make_plugin("acme"), Plugin("off", "zoo-off", "1.0", state="disabled")], RegistryToml())
    assert registry.announce("zoo_run_started", run={}) == []


def test_a_plugin_that_failed_on_one_event_gets_no_others() -> None:
    events: list[str] = []

    def fail() -> None:
        raise ValueError("why")

    def make(name: str, **hooks: Callable[..., Any]) -> Plugin:
        return make_plugin(
            name,
            (),
            zoo_epoch_ended=lambda: events.append(f"{name} epoch"),
            zoo_run_finished=lambda: events.append(name),
            **hooks,
        )

    registry = Registry(
        [make("one", zoo_run_started=fail), make("two", zoo_run_started=fail), make("three")], RegistryToml()
    )
    complaints = registry.announce("zoo_run_started", run={})
    assert [line.partition(" failed in zoo_run_started: ValueError: why")[0] for line in complaints] == [
        "plugin one",
        "plugin two",
    ]
    assert registry.announce("zoo_epoch_ended", run={}, epoch={}) == []
    assert registry.announce("zoo_run_finished", run={}) == []
    assert events == ["three epoch", "three"]


def test_a_plugin_that_failed_in_one_run_gets_the_events_of_the_next() -> None:
    events: list[str] = []

    def fail_once() -> None:
        events.append("started")
        if len(events) == 1:
            raise ValueError

    registry = Registry(
        [make_plugin("acme", (), zoo_run_started=fail_once, zoo_run_finished=lambda: events.append("finished"))],
        RegistryToml(),
    )
    for _ in range(2):
        registry.announce("zoo_run_started", run={})
        registry.announce("zoo_run_finished", run={})
    assert events == ["started", "started", "finished"]


def test_a_plugin_cannot_change_the_arguments_of_the_others() -> None:
    seen: list[Any] = []
    run = {"seed": 0, "best": {"epoch": 1}}

    def mutate(run: Any) -> None:
        run["best"].update(epoch=9)
        run.clear()

    mutator = make_plugin("mutator", zoo_run_started=mutate)
    reader = make_plugin("reader", zoo_run_started=lambda run: seen.extend([run]))
    assert Registry([mutator, reader], RegistryToml()).announce("zoo_run_started", run=run) == []
    assert seen == [run] == [{"seed": 0, "best": {"epoch": 1}}]
    assert seen[0] is not run


def test_a_plugin_that_failed_on_an_event_still_lists_its_backbones() -> None:
    def fail() -> None:
        raise ValueError

    plugin = make_plugin("acme", ["net"], zoo_run_started=fail)
    registry = Registry([plugin], RegistryToml())
    registry.announce("zoo_run_started", run={})
    assert (plugin.state, plugin.reason) == ("ok", "")
    assert [backbone.name for backbone in registry.list_backbones()] == ["acme/net"]
    assert resolve(registry, "net") == "acme/net"
