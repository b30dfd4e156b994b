"""What a Store keeps of all that it is told: the selectors and kinds its plugin asks for."""

from dataclasses import dataclass

from kdns.cluster.objects import Namespace, Object, Pod, Service, ServiceImport, Slice
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
