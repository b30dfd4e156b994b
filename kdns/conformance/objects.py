"""The objects that the suite asks about, as it makes them in a namespace of its own."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Objects:
    """What is there, by name."""

    namespace: str
