"""A package's public names, loaded when they are first used (PEP 562): whoever needs one doesn't pay for all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType


def exported(
    package: str, places: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`. `places`: module -> the names that the package takes from it."""
    module_of = {name: module for module, names in places.items() for name in names}

    def get(name: str) -> object:
        if name not in module_of:
            return _module(package, name)
        value: object = getattr(import_module(module_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, names


def _module(package: str, name: str) -> ModuleType:
    """One of the package's own modules. Raises AttributeError where there is none of this name."""
    path = f"{package}.{name}"
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
