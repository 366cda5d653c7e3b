"""The packages that an export needs."""

from __future__ import annotations

from importlib.util import find_spec

from zoo.errors import OptionError


def require_packages(format: str, *names: str) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        OptionError: If one of them is missing.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise OptionError(
            f"`format` {format} needs {', '.join(missing)}; install {'them' if len(missing) > 1 else 'it'} with: "
            f"pip install {' '.join(missing)}"
        )
