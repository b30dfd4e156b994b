"""What an object is called, and what two objects of the same name have in common."""

from msgspec.structs import astuple

from kdns.cluster.objects import Namespace, Node, Object


def sharing(old: Object, new: Object) -> Object:
    """`new` with those fields of `old` that are equal, so that nothing is in memory twice."""
    before, after = astuple(old), astuple(new)
    return type(new)(*[o if o == n else n for o, n in zip(before, after, strict=True)])


def name_of(thing: Object) -> tuple[str, str]:
    """Namespace, empty for what has none, and name."""
    return ("" if isinstance(thing, Namespace | Node) else thing.namespace, thing.name)
