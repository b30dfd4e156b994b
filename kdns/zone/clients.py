"""Client addresses to what the cluster knows of them: the namespace of a pod, its search path.

Clients is a Classifier (plugins.query): an answer that differs by namespace stays in the answer
table. Whoever reads a namespace touches the address before, since what an address stands for
changes with its pods.
"""

from kdns.cluster.nodes import ZONES
from kdns.cluster.store import Store
from kdns.wire import names
from kdns.wire.names import ROOT, Key
from kdns.zone.names import label
from kdns.zone.services import Touch

_PLACES_KEPT = 4096


class Clients:
    """Who has an address, as far as pods are watched (`pods verified`)."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def classify(self, address: bytes) -> str:
        """The namespace of the pods at an address.

        Empty where there are none, and where they are of several namespaces: those that share
        their node's address cannot be told apart, nor can, for a moment, one that is gone and the
        one that has its address now.
        """
        pods = self._store.pods_at(address)
        if not pods:
            return ""
        namespace = pods[0].namespace
        if len(pods) > 1 and any(pod.namespace != namespace for pod in pods):
            return ""
        return namespace

    def namespace(self, touch: Touch, address: bytes) -> str:
        """The same, noted as what an answer depends on."""
        touch(address)
        return self.classify(address)


class Places:
    """A Classifier, too: the topology zone that an address is in, by the nets of the nodes' pods.

    Whoever reads it touches ZONES before.
    """

    __slots__ = ("_edition", "_known", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._edition = -1
        self._known: dict[bytes, str] = {}

    def classify(self, address: bytes) -> str:
        """The zone of an address, empty where it is not known; some thousand are remembered."""
        nodes = self._store.nodes
        if self._edition != nodes.edition or len(self._known) >= _PLACES_KEPT:
            self._edition = nodes.edition
            self._known.clear()
        zone = self._known.get(address)
        if zone is None:
            zone = self._known[address] = nodes.zone_of(address)
        return zone

    def zone_of(self, touch: Touch, address: bytes) -> str:
        """The same, noted as what an answer depends on."""
        touch(ZONES)
        return self.classify(address)


def search_path(zone: Key, namespace: str, rest: tuple[Key, ...]) -> tuple[Key, ...]:
    """The search path of a pod, as its kubelet writes it: ends in the name as it stands."""
    within = b"\x03svc" + zone
    return (Key(label(namespace) + within), Key(within), zone, *rest, ROOT)


def parse_search(text: str) -> tuple[Key, ...]:
    """The search domains of a resolv.conf; its last `search` or `domain` line counts."""
    found: tuple[Key, ...] = ()
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in {"search", "domain"}:
            given = words[1:] if words[0] == "search" else words[1:2]
            found = tuple(key for key in map(_key, given) if key is not None)
    return found


def _key(text: str) -> Key | None:
    try:
        key = names.parse_key(text)
    except ValueError:
        return None
    return None if key == ROOT else key
