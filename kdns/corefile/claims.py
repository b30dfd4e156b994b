"""Which directives of a block answer all of a zone, so that one behind them is not left in vain.

They are built in the order in which they are asked.
"""

from collections.abc import Hashable, MutableMapping, Sequence
from typing import Any

from kdns.corefile.options import Settings
from kdns.wire.names import Key, is_below


def claim(
    settings: Settings,
    beside: MutableMapping[Hashable, Any],  # Any: what a block's directives share
    zones: Sequence[Key],
    passed: Sequence[Key],
) -> None:
    """Notes the zones of a directive; `passed` are those in which it lets names fall through."""
    held = [zone for zone in zones if not any(is_below(zone, one) for one in passed)]
    beside.setdefault("claims", []).append((settings.word, held))


def unclaimed(
    settings: Settings,
    beside: MutableMapping[Hashable, Any],  # Any: as above
    zones: Sequence[Key],
) -> None:
    """Raises ConfigError where a directive in front keeps all names of one of the zones."""
    for word, held in beside.get("claims", ()):
        if any(is_below(zone, one) for zone in zones for one in held):
            raise settings.fail(
                f"{settings.word.text}: {word.text} (line {word.line}) is asked before it"
                " and keeps every name of its zone",
                f"add fallthrough to {word.text}",
            )
