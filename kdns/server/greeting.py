"""What a server that has started says of itself: what is answered, from where, on which addresses.

One screen at most: the rest is for `kdns check` and the status page.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from kdns.plugins.base import Endpoint, Plugin
from kdns.server.http import Address
from kdns.server.places import Place

MOST_LINES: Final = 18


def greeting(
    plugins: Iterable[Plugin],
    places: Iterable[tuple[Place, int]],
    web: Mapping[Address, tuple[int, Mapping[str, Endpoint]]],
) -> list[str]:
    """The lines; `places` and `web` come with the ports that are really open."""
    told = list(dict.fromkeys(one.account for one in plugins if one.account))
    lines = _cut([f"  {line}" for line in told])
    listens = list(dict.fromkeys(place._replace(port=port).label for place, port in places))
    if listens:
        lines += [f"  listening: {', '.join(_cut(listens))}"]
    for (host, _), (port, routes) in web.items():
        scheme = "https" if any(one.web for one in routes.values()) else "http"
        at = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        lines.append(f"  {at} serves {' '.join(_cut(list(routes)))}")
    return lines


def _cut(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_LINES:
        return list(lines)
    return [*lines[: MOST_LINES - 1], f"  and {len(lines) - MOST_LINES + 1} more"]
