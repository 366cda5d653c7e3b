"""The specs that a plugin creates while it is loading, so that one wrong spec does not take the others away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields
from types import FrameType

from zoo.errors import PluginError

#: Fields of specs that contain other specs.
_PARTS = ("input", "blocks", "weights")


class MadeSpecs:
    """The faults of the specs that a plugin created, and the places in its code that created them."""

    def __init__(self, *, with_places: bool = False) -> None:
        """Begin without specs.

        Args:
            with_places: Whether to find the place of every spec, and not only of the wrong ones.
        """
        self.with_places = with_places
        #: The spec, its fault if any, and its place, keyed by the spec's ``id()``. The spec keeps its id valid.
        self._made: dict[int, tuple[object, PluginError | None, str]] = {}
        self._has_faults = False

    def add(self, spec: object, fault: PluginError | None, place: str | None = None) -> None:
        """Record a spec that is being created, and the place in the plugin's code unless it is given."""
        if place is None:
            place = _find_maker(sys._getframe(1))  # noqa: SLF001  # the only way
        if fault is not None:
            self._has_faults, cause = True, fault.__cause__ or fault
            fault = PluginError(f"{str(fault).rstrip('.')}{place and f' ({place})'}.")
            fault.__cause__ = cause  # its message may name the field that does not exist
        self._made[id(spec)] = spec, fault, place

    def find_fault(self, spec: object) -> PluginError | None:
        """Return the fault of a spec, or of a spec that it contains; None if there is none."""
        if not self._has_faults:
            return None  # the usual case, which must be fast for thousands of specs
        for part in _list_parts(spec):
            _, fault, _ = self._made.get(id(part), (part, None, ""))
            if fault is not None:
                owner = "" if part is spec else getattr(spec, "name", None)
                return PluginError(f"{owner}: {fault}") if isinstance(owner, str) and owner else fault
        return None

    def find_place(self, spec: object) -> str:
        """Return the file and line in the plugin's code that created a spec, or an empty string."""
        return self._made.get(id(spec), (spec, None, ""))[2]


_made: ContextVar[MadeSpecs | None] = ContextVar("made", default=None)


@contextmanager
def recording_specs(made: MadeSpecs) -> Iterator[MadeSpecs]:
    """Return a context in which creating a wrong spec does not raise; the fault is recorded instead."""
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def find_record() -> MadeSpecs | None:
    """Return the record that is active, or None."""
    return _made.get()


def record_unusable(spec: object, given: dict[str, object], error: TypeError) -> bool:
    """Record a spec whose constructor got wrong arguments, and fill its fields; return whether a record is active."""
    made = _made.get()
    if made is None:
        return False
    for field in fields(spec):  # type: ignore[arg-type]  # every spec is a dataclass
        object.__setattr__(spec, field.name, given.get(field.name))
    name = given.get("name", given.get("tag"))
    called = f" {name!r:.80}" if isinstance(name, str) else ""
    fault = PluginError(f"the {type(spec).__name__}{called} cannot be created: TypeError: {error}")
    fault.__cause__ = error
    made.add(spec, fault)
    return True


def _find_maker(frame: FrameType | None) -> str:
    """Return the file and line of the innermost frame outside zoo and the code that dataclasses generates."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if not (module.partition(".")[0] in ("zoo", "dataclasses") or frame.f_code.co_filename.startswith("<")):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _list_parts(spec: object) -> Iterator[object]:
    """Yield a spec and the specs that it contains."""
    yield spec
    for name in _PARTS:
        part = getattr(spec, name, None)
        for own in part if isinstance(part, tuple) else (part,):
            if own is not None:
                yield from _list_parts(own)
