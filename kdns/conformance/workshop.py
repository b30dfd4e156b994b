"""The namespace that a run makes for itself: its objects are made, changed and cleaned up there.

`async with` deletes the namespace however the run ends. What a killed run left is swept by a later
one, when it is older than an hour.
"""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from kdns.conformance import wanted
from kdns.conformance.api import Api, ApiError
from kdns.conformance.objects import Body, Objects, Service, read, read_service
from kdns.conformance.wanted import Place

KEPT = timedelta(hours=1)
MOST = "500"
"""Objects that are listed of a cluster in which nothing may be made."""
_OURS = re.compile(wanted.NAMESPACE + "-[0-9a-f]{6}")
"""Names that new_place makes; whoever applies the manifests by hand keeps his namespace."""
_SELECTOR = "app.kubernetes.io/managed-by=kdns-conformance"


class LeftError(Exception):
    """What a run has made could not be deleted, and why."""

    def __init__(self, namespace: str, error: ApiError) -> None:
        super().__init__(f"namespace {namespace}: {error}")
        self.error = error


class Workshop:
    """Makes and changes objects in the run's own namespace."""

    def __init__(self, api: Api, place: Place) -> None:
        self._api = api
        self.place = place

    async def service(self, name: str, **spec: object) -> Service:
        """Makes a service."""
        return read_service(await self._api.create(wanted.service(self.place, name, **spec)))

    async def alter(self, name: str, **spec: object) -> Service:
        """Changes fields of a service's spec; None removes one."""
        part: Body = {"spec": spec}
        space = self.place.namespace
        return read_service(await self._api.change("Service", space, name, part))

    async def slice_(self, owner: str, addresses: list[str], *, suffix: str = "4") -> None:
        """Makes a slice of ready endpoints with port 80."""
        ports, endpoints = [wanted.port("http", 80)], list(map(wanted.endpoint, addresses))
        made = wanted.slice_(self.place, owner, ports, endpoints, suffix=suffix)
        await self._api.create(made)

    async def fill(self, owner: str, endpoints: list[Body], *, suffix: str = "4") -> None:
        """Gives a slice other endpoints."""
        space, name = self.place.namespace, f"{owner}-{suffix}"
        await self._api.change("EndpointSlice", space, name, {"endpoints": endpoints})

    async def remove(self, kind: str, name: str) -> None:
        """Deletes an object."""
        await self._api.delete(kind, self.place.namespace, name)


@asynccontextmanager
async def opened(api: Api, zone: str) -> AsyncIterator[tuple[Workshop, Objects]]:
    """A namespace with all the objects that clauses ask about; deleted in the end.

    Raises ApiError where they cannot be made, LeftError where they cannot be deleted.
    """
    place = new_place(zone)
    workshop = Workshop(api, place)
    is_there = True
    try:
        try:
            await api.create(wanted.namespace(place.namespace))
        except ApiError as error:
            is_there = False
            if not error.code:  # nobody said that it was not made
                with suppress(ApiError):
                    await api.delete("Namespace", "", place.namespace)
            raise
        made = [await api.create(body) for body in [*wanted.services(place), *wanted.slices(place)]]
        first, _ = await api.list("Service", "default")
        yield workshop, read([*made, *first])
    finally:
        if is_there:  # or may be: whoever was stopped meanwhile does not know
            try:
                await api.delete("Namespace", "", place.namespace)
            except ApiError as error:
                raise LeftError(place.namespace, error) from error


def new_place(zone: str) -> Place:
    """Another one for each run."""
    name = f"{wanted.NAMESPACE}-{secrets.token_hex(3)}"
    return Place(name, secrets.randbelow(512), zone)


async def sweep(api: Api, now: datetime) -> list[str]:
    """Deletes what killed runs left; gives the namespaces' names."""
    found, _ = await api.list("Namespace", labelSelector=_SELECTOR)
    left = [
        name
        for name, made in map(_age, found)
        if _OURS.fullmatch(name) and made and made < now - KEPT
    ]
    for name in left:
        await api.delete("Namespace", "", name)
    return left


async def look(api: Api) -> Objects:
    """What a cluster has of its own, where nothing may be made; raises ApiError."""
    services, _ = await api.list("Service", limit=MOST)
    slices, is_cut = await api.list("EndpointSlice", limit=MOST)
    found = read([*services, *slices])
    if not is_cut:
        return found
    whole = found.where(lambda one: one.kind != "Headless")
    return Objects(tuple(whole), found.namespaces)


def refusal(error: ApiError) -> str:
    """Why clauses that make objects are skipped."""
    return "this kubeconfig may not make objects" if error.code in {401, 403} else "none were made"


def _age(namespace: Body) -> tuple[str, datetime | None]:
    metadata = namespace["metadata"]
    assert isinstance(metadata, dict)
    if metadata.get("deletionTimestamp"):
        return metadata["name"], None
    made = datetime.fromisoformat(metadata["creationTimestamp"])
    return metadata["name"], made.astimezone(UTC)
