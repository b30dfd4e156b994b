"""Search paths as their askers walk them: queries that pass become Walks, learned or given up.

A resolver asks `<base>.<ns>.svc.<zone>`, `<base>.svc.<zone>`, `<base>.<zone>`, its other suffixes,
then `<base>`. A client's Walk is learned only from end to end: each step NXDOMAIN, the bare name
positive; what one client did is never held for another. All its names begin with the same two
labels, its stem. Two kinds of Classifier keep the answer table out of the way of those who walk,
and of them alone: Learner for the name of a first step, Stem for the others.
"""

from collections.abc import Callable, Hashable
from typing import Final

from msgspec import Struct

from kdns.wire.names import ROOT, Key
from kdns.zone.names import label
from kdns.zone.services import Touch
from kdns.zone.view import View

KEPT_S: Final = 600.0
"""How long a walk is known, and one that led nowhere is not looked at again."""
PAIR_S: Final = 1.0
"""Both families of a look-up that began in time are told alike: of two answers of which one is a
denial, glibc takes the other alone."""
PAUSE_S: Final = 10.0
"""After so long without a next step a walk is over: two time-outs of a resolver."""
MOST_WALKS: Final = 10_000
"""About 6 MB."""
MOST_OF_ONE: Final = 256
"""Walks of one client."""
MOST_STEMS: Final = 4096
MOST_WALKING: Final = 512
"""Clients that walk with one stem at a time."""
MOST_STEPS: Final = 32
MOST_TRIES: Final = 16
"""Seconds with first steps that led nowhere before a client is left alone with them; many that are
asked at once are one try."""
NEW_STEMS: Final = (20.0, 200.0)
"""Stems that may begin in a second, and at once after a calm: each costs the answer table a look
at all it holds."""

PLAIN: Final = "plain"
"""The class of those whom the table may answer like everybody."""

Steps = tuple[Key, ...]


class First(Struct, frozen=True, gc=False):
    """What the name of a first step says, if it is one."""

    name: Key
    base: Key
    within: tuple[Key, Key]
    """The names of the next two steps."""


def first_step(view: View, key: Key, touch: Touch) -> First | None:
    """The first step that a name is; None where the walk would not be ours to shorten.

    Where the last label of the base is a service of the namespace or a namespace, the cluster's own
    names are meant, also those of objects that do not exist.
    """
    place = view.find(key)
    if place is None or place[0].is_multicluster or not view.store.has_synced:
        return None
    zone, labels = place[0].key, place[1]
    if isinstance(labels, bytes) or len(labels) < 4 or labels[-1] != "svc":
        return None
    namespace, last = labels[-2], labels[-3]
    store = view.store
    touch(namespace)
    found = store.namespaces.get(namespace)
    if found is None or found.is_plain or any("_" in text for text in labels[:-2]):
        return None
    touch(last)
    touch(f"{namespace}/{last}")
    if last in store.namespaces or f"{namespace}/{last}" in store.services:
        return None
    svc = b"\x03svc" + zone
    front = key[: -len(label(namespace) + svc)]
    return First(key, Key(front + ROOT), (Key(front + svc), Key(front + zone)))


def stem_of(key: Key) -> bytes:
    """The first two labels of a name, empty where it has fewer."""
    first = key[0] + 1
    second = key[first] if first < len(key) else 0
    return key[: first + second + 1] if second else b""


class Walk(Struct):
    """What one client did about one base, and what became of it."""

    first: First
    asked: dict[Key, None]
    """Names that it asked for and that do not exist, in this order."""
    active: float = 0.0
    """Until when the next step is waited for."""
    until: float = 0.0
    """Until when it counts as learned or given up; 0 for neither."""
    steps: Steps | None = None
    """All steps of a walk that was learned."""
    used: float = 0.0
    """When it was last asked about."""
    tries: int = 0
    counts: float = 0.0
    """When the next try is one."""


class Asker(Struct):
    """A client address, and what is known of its search path."""

    walks: dict[Key, Walk]
    """By the name of the first step, the oldest first."""
    suffixes: dict[bytes, float]
    """Those beyond the cluster's, and until when each is expected in its walks."""


class Stem:
    """The names that begin with two labels; classes tell apart who is on his way among them."""

    __slots__ = ("_clock", "walking")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.walking: dict[bytes, dict[Key, Walk]] = {}

    def classify(self, address: bytes) -> Hashable:
        """PLAIN, or for whoever walks something that no answer was ever kept for."""
        walks = self.walking.get(address)
        return object() if walks and self.under_way(walks) else PLAIN

    def under_way(self, walks: dict[Key, Walk]) -> list[Walk]:
        """Those that are not over."""
        now = self._clock()
        return [walk for walk in walks.values() if now < walk.active]

    def has_room(self) -> bool:
        """False where too many walk; those that are over make room."""
        if len(self.walking) >= MOST_WALKING:
            kept = {who: walks for who, walks in self.walking.items() if self.under_way(walks)}
            self.walking = kept
        return len(self.walking) < MOST_WALKING


class Learner:
    """The name of a first step; classes tell apart who has learned which walk from there."""

    __slots__ = ("name", "walks")

    def __init__(self, walks: "Walks", name: Key) -> None:
        self.walks = walks
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Learner) and other.name == self.name and other.walks is self.walks

    def __hash__(self) -> int:
        return hash(self.name)

    def classify(self, address: bytes) -> Hashable:
        """The steps that were learned, PLAIN, or what no answer was ever kept for."""
        return self.walks.standing(address, self.name)


class Walks:
    """The walks of all clients."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._askers: dict[bytes, Asker] = {}
        self._stems: dict[bytes, Stem] = {}
        self._budget = (clock(), NEW_STEMS[1])
        self.count = 0
        self.exempt: list[Callable[[bytes], bool]] = []
        """Clients of whom nothing is learned."""

    # What is known

    def standing(self, address: bytes, name: Key) -> Hashable:
        """The class of a client for the name of a first step."""
        asker = self._askers.get(address)
        walk = asker.walks.get(name) if asker else None
        if walk is not None and walk.until:
            now = self._clock()
            if now < walk.until:
                walk.used = now
                return PLAIN if walk.steps is None else walk.steps
            if walk.steps is not None and now < walk.used + PAIR_S:
                return walk.steps
        return PLAIN if self.exempt and any(is_of(address) for is_of in self.exempt) else object()

    def learned(self, address: bytes, name: Key) -> Steps | None:
        """The steps of a walk that this client made."""
        found = self.standing(address, name)
        return found if isinstance(found, tuple) else None

    def stem(self, stem: bytes) -> Stem | None:
        """The stem, if somebody walks or walked with it."""
        return self._stems.get(stem)

    # What is seen

    def begin(self, address: bytes, first: First) -> bytes:
        """Notes a first step that found nothing. Gives a stem whose answers nobody looks at yet."""
        now, made = self._clock(), b""
        at = stem_of(first.base)
        stem = self._stems.get(at)
        if stem is None:
            if not self._may_begin(now):
                return b""
            if len(self._stems) >= MOST_STEMS:
                del self._stems[next(iter(self._stems))]
            stem, made = self._stems.setdefault(at, Stem(self._clock)), at
        walk = self._walk(address, first)
        if now >= walk.active:
            walk.asked = {}
        walk.asked[first.name] = None
        if now >= walk.counts:
            walk.tries, walk.counts = walk.tries + 1, now + 1
        if walk.tries > MOST_TRIES:
            walk.tries = 0
            self._end(address, walk, now + KEPT_S)
        elif address in stem.walking or stem.has_room():
            walk.active = now + PAUSE_S
            stem.walking.setdefault(address, {})[first.name] = walk
        return made

    def saw(self, address: bytes, stem: Stem, key: Key, *, exists: bool | None, has: bool) -> None:
        """Notes a name that a client on its way asked for: whether it is there, and has records.

        `exists` is None where nobody knows.
        """
        for walk in stem.under_way(stem.walking.get(address, {})):
            if key == walk.first.base:
                self._arrived(address, walk, exists=exists, has=has)
            elif key.startswith(walk.first.base[:-1]):
                self._passed(address, walk, key, exists=exists)

    def drop(self, address: bytes, name: Key) -> None:
        """Forgets a walk that is no longer as it was learned."""
        asker = self._askers.get(address)
        walk = asker.walks.get(name) if asker else None
        if walk is not None:
            walk.until, walk.steps, walk.asked, walk.tries = 0.0, None, {}, 0

    def _passed(self, address: bytes, walk: Walk, key: Key, *, exists: bool | None) -> None:
        now = self._clock()
        if exists is False and len(walk.asked) < MOST_STEPS:
            walk.asked[key] = None
            walk.active = now + PAUSE_S
        else:
            self._end(address, walk, now + KEPT_S if exists else 0.0)

    def _arrived(self, address: bytes, walk: Walk, *, exists: bool | None, has: bool) -> None:
        now = self._clock()
        if exists and not has:
            return  # no such records: the other family may have some
        if not exists:
            self._end(address, walk, 0.0 if exists is None else now + KEPT_S)
            return
        steps = tuple(walk.asked)
        is_whole = steps[:3] == (walk.first.name, *walk.first.within)
        asker = self._askers.get(address)
        if asker is None or not is_whole:
            self._end(address, walk, 0.0)
            return
        front = len(walk.first.base) - 1
        own = {key[front:]: now + KEPT_S for key in steps[3:]}
        expected = {one: until for one, until in asker.suffixes.items() if now < until}
        if expected.keys() <= own.keys():
            self._end(address, walk, now + KEPT_S)
            walk.steps, walk.tries = steps, 0
        else:  # another server saw the rest of it
            self._end(address, walk, 0.0)
        asker.suffixes = own if len(expected) > MOST_STEPS else expected | own

    # What is kept

    def _walk(self, address: bytes, first: First) -> Walk:
        asker = self._askers.get(address)
        if asker is None:
            asker = self._askers[address] = Asker({}, {})
        walk = asker.walks.get(first.name)
        if walk is None:
            if len(asker.walks) >= MOST_OF_ONE:
                self._take_out(asker)
            elif self.count >= MOST_WALKS:
                oldest = next(iter(self._askers))
                self._take_out(self._askers[oldest])
                if not self._askers[oldest].walks:
                    del self._askers[oldest]
                asker = self._askers.setdefault(address, asker)
            walk = asker.walks[first.name] = Walk(first, {})
            self.count += 1
        return walk

    def _take_out(self, asker: Asker) -> None:
        name = next(iter(asker.walks), None)
        if name is not None:
            asker.walks.pop(name).active = 0.0
            self.count -= 1

    def _end(self, address: bytes, walk: Walk, until: float) -> None:
        """Waits for no more steps; the walk is known until then."""
        walk.active, walk.until, walk.asked, walk.steps = 0.0, until, {}, None
        stem = self._stems.get(stem_of(walk.first.base))
        walks = stem.walking.get(address) if stem else None
        if stem is not None and walks is not None:
            walks.pop(walk.first.name, None)
            if not walks:
                del stem.walking[address]

    def _may_begin(self, now: float) -> bool:
        """Takes from the budget of new stems."""
        at, left = self._budget
        left = min(left + (now - at) * NEW_STEMS[0], NEW_STEMS[1])
        self._budget = (now, left - 1 if left >= 1 else left)
        return left >= 1
