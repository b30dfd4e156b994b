"""Time-outs of many queries by one timer."""

import asyncio
from dataclasses import dataclass, field

from kdns.client.wheel import Item, Wheel


@dataclass(eq=False)
class Query:
    """Something that runs out, and what it does then."""

    wheel: Wheel
    takes_along: "list[Query]" = field(default_factory=list)
    slot: "set[Item] | None" = None
    ended: int = 0

    def expire(self) -> None:
        self.ended += 1
        for other in self.takes_along:
            self.wheel.drop(other)


async def test_one_that_runs_out_may_drop_others_of_its_slot():
    wheel = Wheel(asyncio.get_running_loop())
    queries = [Query(wheel) for _ in range(20)]
    for query in queries:
        query.takes_along = [other for other in queries if other is not query]
        wheel.add(query, asyncio.get_running_loop().time() + 1.0)
    wheel.turn(asyncio.get_running_loop().time() + 2)
    assert sum(query.ended for query in queries) == 1
    wheel.close()


async def test_one_that_runs_out_may_begin_anew():
    wheel = Wheel(asyncio.get_running_loop())
    query = Query(wheel)
    query.expire = lambda: wheel.add(query, asyncio.get_running_loop().time() + 1.0)
    wheel.add(query, asyncio.get_running_loop().time() + 1.0)
    wheel.turn(asyncio.get_running_loop().time() + 2)
    assert query.slot
    wheel.close()
