"""What a Store keeps of all that it is told: the selectors and kinds its plugin asks for."""

from dataclasses import dataclass

from msgspec.structs import replace

from kdns.cluster.objects import (
    Gateway,
    Ingress,
    Namespace,
    Node,
    Object,
    Pod,
    Route,
    Service,
    ServiceImport,
    Slice,
)
from kdns.cluster.selectors import EVERYTHING, Selector


@dataclass(frozen=True, slots=True)
class Selection:
    """What is watched. An object that is not, or no longer, selected does not exist."""

    labels: Selector = EVERYTHING
    """For services, slices and pods."""
    namespaces: Selector = EVERYTHING
    endpoints: bool = True
    pods: bool = True
    imports: bool = True
    nodes: bool = False
    """Nodes, and what services and slices say of them."""
    entrances: bool = False
    """Ingresses, and the gateways and routes of the Gateway API."""
    hosts: bool = False
    """The names that annotations of services ask for."""

    def keeps(self, thing: Object) -> bool:
        """True for an object that is watched."""
        match thing:
            case Namespace():
                return self.namespaces.matches(thing.labels)
            case Slice():
                wanted = self.imports if thing.cluster else self.endpoints
                return wanted and self.labels.matches(thing.labels)
            case Pod():
                return self.pods and self.labels.matches(thing.labels)
            case Service():
                return self.labels.matches(thing.labels)
            case ServiceImport():
                return self.imports
            case Node():
                return self.nodes
            case Ingress() | Gateway() | Route():
                return self.entrances

    def bare(self, thing: Object | None) -> Object | None:
        """An object without what the Store does not keep."""
        if type(thing) is Slice:
            if thing.labels:
                thing = replace(thing, labels=())
            if not self.nodes and (thing.nodes or thing.hints):
                thing = replace(thing, nodes=None, hints=None)
        elif type(thing) is Service and thing.more and not (self.nodes or self.hosts):
            thing = replace(thing, more=None)
        return thing
