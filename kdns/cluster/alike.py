"""What two objects of the same name have in common, and what the Store keeps of one."""

from msgspec.structs import astuple, replace

from kdns.cluster.objects import Namespace, Object, Slice


def bare(thing: Object | None) -> Object | None:
    """An object without what the Store does not keep."""
    if type(thing) is Slice and thing.labels:
        return replace(thing, labels=())
    return thing


def sharing(old: Object, new: Object) -> Object:
    """`new` with those fields of `old` that are equal, so that nothing is in memory twice."""
    before, after = astuple(old), astuple(new)
    return type(new)(*[o if o == n else n for o, n in zip(before, after, strict=True)])


def name_of(thing: Object) -> tuple[str, str]:
    """Namespace, empty for what has none, and name."""
    return ("" if isinstance(thing, Namespace) else thing.namespace, thing.name)
