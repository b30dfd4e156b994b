"""What a server is given from above: the status page, and the explainer behind it.

Both are loaded where a Corefile has `status`, and only then.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from kdns.plugins.base import Endpoint, Plugin
from kdns.server.service import Service


def furnish(service: Service) -> None:
    """Has the server offer a page where its Corefile asks for one."""
    service.services.life.page = partial(_page, service, {})


def _page(service: Service, kept: dict[str, Any], plugin: Plugin) -> Sequence[Endpoint]:
    # Any: the explainer is kept through reloads, and its type is not loaded before
    from kdns.cli.explaining import Explainer  # noqa: PLC0415 - few need it
    from kdns.plugins.status import Status  # noqa: PLC0415
    from kdns.status.routes import routes  # noqa: PLC0415

    assert isinstance(plugin, Status)
    explainer = kept.setdefault("explainer", None) or Explainer(service)
    kept["explainer"] = explainer
    return routes(plugin, explainer.serve)
