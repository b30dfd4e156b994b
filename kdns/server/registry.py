"""Finds the plugin class of a directive: in the module of the same name."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from kdns import plugins
from kdns.plugins import ORDER
from kdns.plugins.base import Plugin


@cache
def plugin_class(name: str) -> type[Plugin] | None:
    """The class of a directive; None when kdns does not have it."""
    if name not in implemented():
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


@cache
def implemented() -> tuple[str, ...]:
    """The directives kdns has, in the order they are asked in; none is loaded for it."""
    there = {module.name for module in iter_modules(plugins.__path__)}
    return tuple(name for name in ORDER if name in there)
