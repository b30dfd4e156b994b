"""One run: from a server's address and a cluster, or manifests, to the verdicts on it.

With a cluster the objects are made, awaited and deleted; where that is refused, what the cluster
has of its own is read. What a reader should know of that is in the remarks.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kdns.conformance import workshop
from kdns.conformance.api import Api, ApiError, Identity
from kdns.conformance.catalogue import choose
from kdns.conformance.clauses import Group, Verdict
from kdns.conformance.objects import Objects
from kdns.conformance.report import Report
from kdns.conformance.run import run
from kdns.conformance.survey import learn, settle, survey
from kdns.conformance.target import Target
from kdns.conformance.workshop import LeftError


@dataclass(slots=True)
class Session:
    """A run under way."""

    groups: Sequence[Group]
    remarks: list[str] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    async def run(
        self, target: Target, *, identity: Identity | None = None, objects: Objects | None = None
    ) -> Report:
        """The report; raises SilentError when the server answers nothing."""
        began, start = datetime.now(UTC), time.monotonic()
        await survey(target)  # before anything is made for it
        if identity:
            async with Api(identity) as api:
                await self._in_cluster(api, target)
        elif objects:
            await self._judge(await self._learnt(replace(target, objects=objects)))
        else:
            await self._judge(target)
        return Report(
            f"{target.host}:{target.port}" if ":" not in target.host else
            f"[{target.host}]:{target.port}",
            target.zone,
            began.isoformat(timespec="seconds").replace("+00:00", "Z"),
            time.monotonic() - start,
            self.verdicts,
            tuple(self.remarks),
        )  # fmt: skip

    async def _judge(self, target: Target) -> None:
        self.verdicts = await run(self.groups, await survey(target))

    async def _learnt(self, target: Target) -> Target:
        known, count = await learn(target)
        if count:
            self.remarks.append(
                f"the ClusterIPs of {count} services are not in the manifests: they were asked for"
            )
        return known

    async def _in_cluster(self, api: Api, target: Target) -> None:
        await self._sweep(api)
        try:
            async with workshop.opened(api, target.zone) as (shop, objects):
                await self._made(replace(target, objects=objects, workshop=shop))
        except LeftError as left:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError(f"not cleaned up: {left}") from left
            self.remarks.append(f"not cleaned up: {left}")
            if not self.verdicts:
                await self._given(api, target, left.error)
        except ApiError as error:
            await self._given(api, target, error)

    async def _made(self, target: Target) -> None:
        waited = await settle(target)
        self.remarks.append(
            "some objects of the suite were not served in time: see what failed"
            if waited is None
            else f"the objects of the suite were served after {waited * 1000:.0f} ms"
        )
        await self._judge(target)

    async def _given(self, api: Api, target: Target, error: ApiError) -> None:
        """Judges by what the cluster has, as nothing could be made in it."""
        why = workshop.refusal(error)
        self.remarks.append(f"{why}: {error}")
        reasons = {"objects": why}
        try:
            target = replace(target, objects=await workshop.look(api))
        except ApiError as unread:
            reasons["cluster"] = f"the cluster's objects cannot be read ({unread})"
        await self._judge(replace(target, reasons=reasons))
        await self._judge_again(api, replace(target, reasons=reasons))

    async def _judge_again(self, api: Api, target: Target) -> None:
        """Once more what failed: a cluster in use changes between its being read and asked."""
        failed = [
            verdict.clause.id
            for verdict in self.verdicts
            if verdict.outcome == "failed" and "cluster" in verdict.clause.needs
        ]
        if failed:
            try:
                now = replace(target, objects=await workshop.look(api))
            except ApiError as error:
                self.remarks.append(f"what failed was not tried again: {error}")
                return
            again = await run(choose(self.groups, failed, []), await survey(now))
            latest = {verdict.clause.id: verdict for verdict in again}
            self.verdicts = [latest.get(one.clause.id, one) for one in self.verdicts]

    async def _sweep(self, api: Api) -> None:
        try:
            left = await workshop.sweep(api, datetime.now(UTC))
        except ApiError:
            return  # whoever may not list namespaces made none
        self.remarks += [
            f"the namespace {name}, left by a killed run, was deleted" for name in left
        ]
