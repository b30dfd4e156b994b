"""What a server is given from above: the status page, and the explainer behind it.

Both are loaded where a Corefile has `status`, and only then.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from kdns.plugins.base import Endpoint, Plugin
from kdns.server.service import Service

if TYPE_CHECKING:
    from kdns.cli.explaining import Explainer


def furnish(service: Service) -> None:
    """Has the server offer a page where its Corefile asks for one."""
    service.services.life.page = partial(_page, cache(partial(_explainer, service)))


def _explainer(service: Service) -> "Explainer":
    from kdns.cli.explaining import Explainer  # noqa: PLC0415 - few need it

    return Explainer(service)


def _page(explainer: Callable[[], "Explainer"], plugin: Plugin) -> Sequence[Endpoint]:
    """The page at an address; one explainer serves them all, through reloads."""
    from kdns.plugins.status import Status  # noqa: PLC0415 - few need it
    from kdns.status.routes import routes  # noqa: PLC0415

    assert isinstance(plugin, Status)
    return routes(plugin, explainer().serve)
