"""All controllers of the lab, run together until they are cancelled."""

import asyncio
from collections.abc import Callable
from random import randrange

from kdns.lab.controllers import start
from kdns.lab.controllers.cronjobs import CronJobs
from kdns.lab.controllers.daemonsets import DaemonSets
from kdns.lab.controllers.deployments import Deployments
from kdns.lab.controllers.desk import Desk
from kdns.lab.controllers.garbage import Garbage
from kdns.lab.controllers.jobs import Jobs
from kdns.lab.controllers.namespaces import Namespaces
from kdns.lab.controllers.network import EndpointSlices, LegacyEndpoints, LoadBalancers, Mirroring
from kdns.lab.controllers.replicasets import ReplicaSets
from kdns.lab.controllers.statefulsets import StatefulSets
from kdns.lab.controllers.work import Controller
from kdns.lab.kubelet.play import Play
from kdns.lab.rights.aggregation import Aggregation
from kdns.lab.storage import Storage

EVERYBODY: tuple[Callable[[Desk], Controller], ...] = (
    Namespaces,
    ReplicaSets,
    Deployments,
    StatefulSets,
    DaemonSets,
    Jobs,
    CronJobs,
    EndpointSlices,
    LegacyEndpoints,
    Mirroring,
    LoadBalancers,
    Garbage,
    Aggregation,
)


class Staff:
    """The control plane behind a Storage; `kubelet` makes who plays the pods."""

    def __init__(
        self,
        storage: Storage,
        chance: Callable[[int], int] = randrange,
        *,
        kubelet: Callable[[Desk], Controller] = Play,
    ) -> None:
        self.desk = Desk(storage, chance)
        start.furnish(self.desk)
        self.controllers = [one(self.desk) for one in (kubelet, *EVERYBODY)]

    async def run(self) -> None:
        """Does everybody's duty."""
        async with asyncio.TaskGroup() as group:
            for one in self.controllers:
                group.create_task(one.run())
