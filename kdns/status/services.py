"""The services of all clusters as pages of one sorted list, made without holding the loop.

The list of keys is sorted anew when something changed, at most once a second and only while
somebody looks; endpoints are counted with it. All else is read from the Stores as it is asked for.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import islice
from typing import Final

import msgspec

from kdns.cluster.objects import Port, Service, Slice
from kdns.cluster.store import Store
from kdns.status.shapes import EndpointShape, ServiceShape
from kdns.wire.names import format_address

EVERY_S: Final = 1.0
LIMIT: Final = 50
MOST: Final = 200
"""Services of a page."""
SHOWN: Final = 100
"""Endpoints of a service."""
_PIECE: Final = 500
"""Services that are counted, or endpoints that are shown, in one go: a millisecond or so."""
_SEARCHED: Final = 20_000


@dataclass(slots=True)
class Counted:
    """What was counted of a Store, and at which edition."""

    edition: int = -1
    services: int = 0
    endpoints: int = 0
    unready: int = 0


class Listing:
    """The list, and what was counted with it."""

    def __init__(self, stores: Callable[[], Sequence[Store]], clock: Callable[[], float]) -> None:
        self._stores = stores
        self._clock = clock
        self._keys: list[str] = []
        self._of: tuple[Store, ...] = ()
        self._counted: dict[int, Counted] = {}
        self._made_at = float("-inf")
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Sorts and counts anew, if that is due."""
        async with self._turn:
            stores = tuple(self._stores())
            is_same = stores == self._of
            editions = [self.counted(store).edition for store in stores]
            is_current = is_same and editions == [store.edition for store in stores]
            if is_current or (is_same and self._clock() - self._made_at < EVERY_S):
                return
            self._made_at = self._clock()
            counted = {id(store): await _count(store) for store in stores}
            found = set().union(*(store.services for store in stores))
            # perf: what was sorted before stays so; 10,000 new ones take 3 ms
            keys = [key for key in self._keys if key in found]
            keys += found.difference(keys)
            await asyncio.sleep(0)
            keys.sort()
            self._keys, self._of, self._counted = keys, stores, counted

    def counted(self, store: Store) -> Counted:
        """What was counted of a Store."""
        return self._counted.get(id(store), Counted())

    async def page(self, query: Mapping[str, str]) -> bytes:
        """`shapes.Services` as JSON; raises ValueError for a limit that is none."""
        limit = min(int(query.get("limit") or LIMIT), MOST)
        if limit < 1:
            raise ValueError("limit must be at least 1")
        await self.refresh()
        keys = await self._matching(query.get("search", "").strip().lower())
        begin = bisect_right(keys, query["after"]) if query.get("after") else 0
        chosen = keys[begin : begin + limit]
        rows = await self._rows(chosen)
        more = chosen[-1] if begin + limit < len(keys) else ""
        page = {"services": rows, "total": len(keys), "more": more}
        return msgspec.json.encode(page)

    async def _matching(self, search: str) -> list[str]:
        """The keys that hold a text, or the services that have an address."""
        keys = self._keys
        if not search:
            return keys
        try:
            return self._at(ip_address(search).packed)
        except ValueError:
            found: list[str] = []
        for at in range(0, len(keys), _SEARCHED):
            found += [key for key in keys[at : at + _SEARCHED] if search in key]
            await asyncio.sleep(0)
        return found

    def _at(self, address: bytes) -> list[str]:
        found: set[str] = set()
        for store in self._of:
            found.update(one.key for one in store.services_at(address))
            found.update(one.key for one in store.external_at(address))
            found.update(slice_.key for slice_, _ in store.endpoints_at(address))
        return sorted(found)

    async def _rows(self, keys: Sequence[str]) -> list[msgspec.Raw]:
        rows: list[msgspec.Raw] = []
        done = 0
        for key in keys:
            for store in self._of:
                service = store.services.get(key)
                if service is None:
                    continue
                shape = shown(service, store.slices(key))
                rows.append(msgspec.Raw(msgspec.json.encode(shape)))
                done += len(shape.endpoints) + 10
                if done > _PIECE:
                    done = 0
                    await asyncio.sleep(0)
        return rows


async def _count(store: Store) -> Counted:
    counted = Counted(store.edition, len(store.services))
    for at, key in enumerate(list(store.services)):
        for slice_ in store.slices(key):
            counted.endpoints += slice_.count
            counted.unready += len(slice_.unready)
        if at % _PIECE == 0:
            await asyncio.sleep(0)
    return counted


def shown(service: Service, slices: Sequence[Slice]) -> ServiceShape:
    """A service with its endpoints."""
    unready = sum(len(one.unready) for one in slices)
    kind = "headless" if service.is_headless else "ClusterIP"
    return ServiceShape(
        namespace=service.namespace,
        name=service.name,
        kind="ExternalName" if service.external_name else kind,
        addresses=[format_address(one) for one in service.addresses],
        ports=[_port(one) for one in service.ports],
        target=service.external_name,
        ready=sum(one.count for one in slices) - unready,
        unready=unready,
        endpoints=list(
            islice((_endpoint(one, at) for one in slices for at in range(one.count)), SHOWN)
        ),
    )


def _port(port: Port) -> str:
    number = port.number if port.number >= 0 else "any"
    return f"{port.name} {number}/{port.protocol}".lstrip()


def _endpoint(slice_: Slice, at: int) -> EndpointShape:
    address = format_address(slice_.address(at))
    return EndpointShape(address, slice_.is_ready(at), slice_.pod(at) or slice_.hostname(at))
