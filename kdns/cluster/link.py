"""The way of one worker to the others: what it knows it can give, what they know it can take."""

from dataclasses import dataclass

from kdns.cluster.giving import Giver
from kdns.cluster.taking import Taker


@dataclass(slots=True)
class Link:
    """One per process, where several serve as one."""

    giver: Giver
    taker: Taker
    watches: bool
    """True for the one worker that has the source; the others take from it."""
    inherits: bool = False
    """True while that worker starts and others know already what the last one watched."""
