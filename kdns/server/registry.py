"""Finds the plugin class of a directive: in the module of the same name."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from kdns.plugins import ORDER
from kdns.plugins.base import Plugin


@cache
def plugin_class(name: str) -> type[Plugin] | None:
    """The class of a directive; None when kdns does not have it."""
    if name not in ORDER or find_spec(f"kdns.plugins.{name}") is None:
        return None
    module = import_module(f"kdns.plugins.{name}")
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Plugin)
            and vars(value).get("name") == name
        ):
            return value
    raise ImportError(f"kdns.plugins.{name} has no plugin class of that name")


def implemented() -> tuple[str, ...]:
    """The directives kdns has, in the order they are asked in."""
    return tuple(name for name in ORDER if plugin_class(name) is not None)
