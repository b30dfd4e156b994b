"""What the tests of directives share that answer for a cluster as it is seen from outside."""

from collections.abc import Iterable

from kdns.cluster.store import Synced
from kdns.plugins.base import SKIP
from tests.fakes import Chain
from tests.zone.worlds import as_list, objects, told


def follow(made: Chain, documents: Iterable[object], *, synced: bool = True) -> Chain:
    """A chain of such a directive and `kubernetes`, that has been told of these objects."""
    store = made.plugins[1].cluster.store
    store.apply_all([*as_list(objects(documents)), *([Synced()] if synced else [])], 1000)
    made.plugins[0].look()
    return made


async def said(made: Chain, name: str, type_: str = "A") -> str:
    """What is answered, in short; SKIP where nobody does."""
    answer = await made.ask(name, type_)
    return "SKIP" if answer is SKIP else told(await made.dig(name, type_))
