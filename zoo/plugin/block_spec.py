"""A part of a backbone that is frozen or trained as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.plugin.fields import are_paths, check_when_made, is_text, require


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A part of a backbone that is frozen or trained as a whole.

    Example:
        BlockSpec("stem", ("conv1", "bn1"))

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: Name of the block, as in ``from:stem``.
    name: str
    #: Dotted prefixes of parameter names. ``layer1`` covers ``layer1.0.conv1.weight`` but not ``layer10.bias``. They
    #: name parameters rather than modules, because some parameters (a ViT's ``class_token``) are not in a submodule.
    prefixes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_when_made(check_block, self)


def check_block(spec: BlockSpec) -> None:
    """Check a block.

    Raises:
        PluginError: If a field has an invalid value.
    """
    are_prefixes = are_paths(spec.prefixes) and spec.prefixes != ()
    require(
        spec,
        ("name", is_text(spec.name), "a one-line string"),
        ("prefixes", are_prefixes, "a nonempty tuple of distinct parameter-name prefixes"),
    )
