"""Looks for Python's garbage in cycles when nothing happens in the lab, for it holds up everybody.

Over the objects of two hundred pods it takes 30 ms, in the middle of a burst as likely as not. They
are in no cycles; what there is to be found are connections that have ended, and may wait.
"""

import asyncio
import gc

from kdns.lab.storage import Storage

COLLECT = (2_000, 3, 1 << 30)
"""Young objects are looked at by Python itself, 8,000 at a time (1 ms); old ones never."""
LOOK_S = 1.0
DUE, OVERDUE = 50, 1250
"""Looks at young objects since the last one at old ones: with these it waits for a quiet moment,
and not any longer."""


async def collect(storage: Storage) -> None:
    """Does so until it is cancelled; what was there before is not looked at."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        while True:
            version = storage.version
            await asyncio.sleep(LOOK_S)
            if is_time(gc.get_count()[2], is_quiet=version == storage.version):
                gc.collect()
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def is_time(looks: int, *, is_quiet: bool) -> bool:
    """Whether to look at old objects now."""
    return looks >= (DUE if is_quiet else OVERDUE)
