"""Pod names to answers: the address that a dashed label spells, checked as far as `pods` asks.

Insecure names depend on the namespace alone, verified ones also on the pods at the address.
CoreDNS: one or two labels more change nothing, and SRV points at the pod's name, with port 0.
"""

from struct import pack

from kdns.wire import types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import Key, parent
from kdns.zone.names import dash, parse_dashed
from kdns.zone.services import Touch
from kdns.zone.view import View, Zone, positive

_LONGEST = 5
_SRV = pack("!HHH", 0, 100, 0)


def answer(
    view: View, zone: Zone, key: Key, parts: list[str], type_: int, touch: Touch
) -> Answer | None:
    """Answers for `parts`: […,] dashed address, namespace, pod. None when there is no such name."""
    if view.pods == "disabled" or len(parts) > _LONGEST:
        return None
    text, namespace = parts[-3], parts[-2]
    address = parse_dashed(text)
    if address is None:
        return None
    touch(namespace)
    if not view.exposes(namespace):
        return None
    if view.pods == "verified" and not _is_known(view, text, namespace, address, touch):
        return None
    family = types.A if len(address) == 4 else types.AAAA
    if type_ == family:
        return positive(RRset(key, family, view.ttl, (address,)))
    if type_ == types.SRV:
        name = _bare(key, len(parts) - 3)
        glue = RRset(name, family, view.ttl, (address,))
        return positive(RRset(key, type_, view.ttl, (_SRV + name,)), additional=(glue,))
    return zone.nodata


def _bare(key: Key, labels: int) -> Key:
    """The name without its first labels."""
    for _ in range(labels):
        key = parent(key)
    return key


def _is_known(view: View, text: str, namespace: str, address: bytes, touch: Touch) -> bool:
    """True when a pod of the namespace has the address, spelled as the API spells it.

    `fd00--` is that spelling of fd00::, `fd00--0` the label an endpoint there would have.
    """
    touch(address)
    if any(pod.namespace == namespace for pod in view.store.pods_at(address)):
        return dash(address) in (text, text + "0")
    return False
