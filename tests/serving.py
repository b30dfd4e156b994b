"""A Corefile becomes a server in this process, on ports that are free, by its own sockets."""

from pathlib import Path

from kdns.corefile.tree import ConfigError
from kdns.server.assembly import Services, build
from kdns.server.reload import Reloader
from kdns.server.service import Service


def mistakes(text: str) -> list[str]:
    """What is wrong with a Corefile."""
    errors: list[ConfigError] = []
    build(text, "Corefile", Services(), errors)
    return list(map(str, errors))


def bounds(text: str) -> tuple[int, int]:
    """How many connections the one listener of a Corefile takes, and streams on each."""
    errors: list[ConfigError] = []
    [terms] = build(text, "Corefile", Services(), errors).terms.values()
    assert not errors
    return terms.max_connections, terms.max_streams


class Serving:
    """An async context manager. Keys with port 0 get one that is free."""

    def __init__(self, text: str, folder: Path | None = None) -> None:
        self.text = text
        self.path = str((folder or Path()) / "Corefile")
        self.services = Services()
        errors: list[ConfigError] = []
        assembly = build(text, self.path, self.services, errors)
        assert not errors, "\n".join(map(str, errors))
        self.service = Service(assembly, self.services)
        self._reloader = Reloader(self.service, self.services, self._source, port=53)

    def _source(self) -> tuple[str, str]:
        return self.text, self.path

    async def __aenter__(self) -> "Serving":
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop(0.5)

    async def reload(self, text: str) -> bool:
        """Serves another Corefile, if it can."""
        self.text = text
        return await self._reloader.check()

    def port(self, scheme: str = "dns") -> int:
        """Where a transport is served."""
        places = self.service._listeners.items()
        return next(one.port for place, one in places if place.scheme.split()[0] == scheme)

    def count(self, name: str, *labels: str) -> float:
        """What a counter has come to, over all further labels."""
        values = self.services.counters.values.items()
        return sum(value for key, value in values if key[: len(labels) + 1] == (name, *labels))
