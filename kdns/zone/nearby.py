"""Plain names of headless services that ask for it, answered with endpoints near the asker first.

A service asks for it by `trafficDistribution`, or its slices by hints for every ready endpoint (as
kube-proxy takes them). Where none of its endpoints is meant for the asker's zone, or the zone is
not known, the answer is the one that everybody gets.
"""

from collections.abc import Iterable

from kdns.cluster.objects import Service, Slice
from kdns.wire.message import Answer
from kdns.wire.names import Key
from kdns.zone.names import Labels
from kdns.zone.services import WIDTHS, Touch, addressed, ready
from kdns.zone.view import View, Zone


def service(view: View, zone: Zone, parts: Labels, type_: int, touch: Touch) -> Service | None:
    """The service of a plain name for which it matters who asks; None where it does not."""
    if isinstance(parts, bytes) or len(parts) != 3 or parts[2] != "svc" or type_ not in WIDTHS:
        return None
    if zone.is_multicluster or zone.is_reverse:
        return None
    fact = f"{parts[1]}/{parts[0]}"
    touch(fact)
    touch(parts[1])
    found = view.store.services.get(fact)
    if found is None or not found.is_headless or not view.exposes(parts[1]):
        return None
    if found.more is not None and found.more.is_near:
        return found
    return found if any(slice_.hints for slice_ in view.store.slices(fact)) else None


def answer(
    view: View, zone: Zone, key: Key, found: Service, type_: int, here: str
) -> Answer | None:
    """All endpoints, those for one topology zone first; None where there are none for it."""
    slices = view.store.slices(found.key)
    if _is_hinted(slices):
        near = [
            slice_.address(at)
            for slice_ in slices
            for at in ready(slice_)
            if here in slice_.hint(at).split(",")
        ]
    elif found.more is not None and found.more.is_near:
        near = [
            slice_.address(at)
            for slice_ in slices
            for at in ready(slice_)
            if slice_.zone(at) == here
        ]
    else:
        return None
    width = WIDTHS[type_]
    first = dict.fromkeys(one for one in near if len(one) == width)
    if not first:
        return None
    there = [slice_.address(at) for slice_ in slices for at in ready(slice_)]
    rest = dict.fromkeys(one for one in there if len(one) == width)
    found_all = addressed(view, zone, key, type_, tuple(first | rest))
    return found_all.but(first=len(first)) if len(first) < len(first | rest) else found_all


def _is_hinted(slices: Iterable[Slice]) -> bool:
    """True when every ready endpoint says whom it is meant for."""
    hints = [slice_.hint(at) for slice_ in slices for at in ready(slice_)]
    return bool(hints) and all(hints)
