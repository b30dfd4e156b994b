"""Questions to answers from a Zone, as the RFCs say: RFC 1034 §4.3.2, 4592, 6672, 2308, 8020, 9471.

`find` gives an Answer, or an Alias: a chain of CNAMEs that leads out of the zone, whose end only
the server can look up. Positive answers carry the NS set of the apex (CoreDNS), glue for what they
name, and, where DNSSEC is wanted and the zone is signed, signatures and denials (`denial`).
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from kdns.wire.names import LONGEST, Key, is_below
from kdns.zone.files.denial import delegated, denied, expanded, missing
from kdns.zone.files.zone import Node, Zone

LONGEST_CHAIN = 16
"""Names of one chain in a zone (CoreDNS: 8)."""
YXDOMAIN = 6
_ITSELF = ((0, "a CNAME that points to itself"),)
_STAR = b"\x01*"
_TARGETS = {types.NS: 0, types.MX: 2, types.SRV: 6}
"""Types whose targets' addresses go along, and where the target begins in the data."""
_ADDRESSES = (types.A, types.AAAA)
_NO_CHASE = frozenset((types.CNAME, types.ANY, types.RRSIG, types.NSEC))

Section = tuple[RRset, ...]


class Alias(Struct, frozen=True, gc=False):
    """CNAMEs that lead out of the zone, and the name they end at."""

    answer: Section
    authority: Section
    target: Key


Outcome = Answer | Alias
_FAILED = frozenset((types.REFUSED, types.NOTIMP))


def ended(alias: Alias, there: Answer | None) -> Answer:
    """A chain that left the zone, with what the server said of its end.

    The code is that of the last name (RFC 6604 §3); where nobody serves that one, the chain is the
    answer (CoreDNS).
    """
    if there is None or there.rcode in _FAILED:
        return Answer(types.NOERROR, alias.answer, alias.authority, flags=types.AA)
    is_theirs = bool(there.authority) and (bool(there.rcode) or not there.answer)
    return Answer(
        there.rcode,
        (*alias.answer, *there.answer),
        there.authority if is_theirs else alias.authority,
        flags=types.AA,
        serial=there.serial if is_theirs else None,
        ede=there.ede,
        live=there.live,
    )


def find(zone: Zone, key: Key, type_: int, *, do: bool = False) -> Outcome:
    """The answer for a name in the zone; `do`: with signatures and denials, if it has them."""
    return _Search(zone, type_, signed=do and zone.is_signed).found(key)


class _Search:
    """One look-up, with what it has found on the way."""

    __slots__ = ("chain", "proofs", "signed", "type", "zone")

    def __init__(self, zone: Zone, type_: int, *, signed: bool) -> None:
        self.zone = zone
        self.type = type_
        self.signed = signed
        self.chain: list[RRset] = []
        self.proofs: list[RRset] = []

    def found(self, key: Key) -> Outcome:
        """Follows the chain that begins at `key`."""
        seen = {key}
        while True:
            at = self._step(key)
            if isinstance(at, Answer):
                return at
            goal = names.fold(at)
            if goal == key:
                # CoreDNS: nobody is to be sent round by what can only be a mistake.
                return Answer(types.SERVFAIL, ede=_ITSELF, plugin=self.zone.plugin)
            if goal in seen or len(seen) >= LONGEST_CHAIN:
                return self._positive(())
            if not is_below(goal, self.zone.apex):
                return Alias(tuple(self.chain), (*self._ns(), *self._proven()), goal)
            seen.add(goal)
            key = goal

    def _step(self, key: Key) -> Answer | bytes:
        """What is at one name: an answer, or the target of a CNAME."""
        node = self.zone.encloser(key)
        hider = node.hidden_by
        if hider is None:
            if node.key == key and not (node.is_cut and self.type != types.DS):
                return self._at(node, key)
            hider = node
        if hider.is_cut:
            return self._referral(hider)
        dname = hider.get(types.DNAME)
        if dname is not None:
            return self._substituted(key, hider, dname)
        return self._wild(node, key)

    def _wild(self, encloser: Node, key: Key) -> Answer | bytes:
        """What the wildcard below the closest name says (RFC 4592)."""
        star = self.zone.nodes.get(Key(_STAR + encloser.key))
        if star is None:
            if self.signed:
                self.proofs += denied(self.zone, key, encloser.key)
            return self._negative(types.NXDOMAIN)
        if star.is_cut:
            return self._referral(star)
        if self.signed:
            self.proofs += expanded(self.zone, key, encloser.key)
        return self._at(star, key)

    def _at(self, node: Node, key: Key) -> Answer | bytes:
        """What a name holds, given as that of `key`."""
        wanted = self.type
        cname = node.get(types.CNAME)
        if cname is not None and wanted not in _NO_CHASE:
            self.chain += self._signed(node, cname, key)
            return cname.rdatas[0]
        if wanted == types.ANY:
            rrsets = [one for rrset in node.sets for one in self._signed(node, rrset, key)]
        elif wanted == types.RRSIG:
            rrsets = [_owned(sigs, key) for _, sigs in node.sigs]
        else:
            rrset = node.get(wanted)
            rrsets = [] if rrset is None else self._signed(node, rrset, key)
        if rrsets:
            return self._positive(rrsets)
        if self.signed:
            self.proofs += missing(self.zone, node, key)
        return self._negative(types.NOERROR)

    def _substituted(self, key: Key, hider: Node, dname: RRset) -> Answer | bytes:
        """The CNAME that a DNAME stands for (RFC 6672 §2.2, §3.1)."""
        self.chain += self._signed(hider, dname, hider.key)
        target = key[: len(key) - len(hider.key)] + dname.rdatas[0]
        if len(target) > LONGEST:
            return Answer(
                YXDOMAIN,
                tuple(self.chain),
                self._proven(),
                flags=types.AA,
                plugin=self.zone.plugin,
            )
        self.chain.append(RRset(key, types.CNAME, dname.ttl, (target,)))
        return self._positive(()) if self.type in _NO_CHASE else target

    def _referral(self, cut: Node) -> Answer:
        """The way to the servers of a delegated zone (RFC 9471: with all addresses we know)."""
        ns, ds = cut.get(types.NS), cut.get(types.DS)
        assert ns is not None
        authority = [ns]
        if self.signed:
            authority += delegated(self.zone, cut) if ds is None else self._signed(cut, ds, cut.key)
        flags = types.AA if self.chain else 0  # RFC 1034 §4.1.1: it speaks of the first name
        glue = self._glue(authority)
        return Answer(
            types.NOERROR,
            tuple(self.chain),
            (*authority, *self._proven()),
            glue,
            flags,
            plugin=self.zone.plugin,
        )

    def _positive(self, rrsets: Iterable[RRset]) -> Answer:
        answer = (*self.chain, *rrsets)
        is_apex_ns = any(one is self.zone.ns for one in answer)
        authority = (*(() if is_apex_ns else self._ns()), *self._proven())
        return Answer(
            types.NOERROR, answer, authority, self._glue(answer), types.AA, plugin=self.zone.plugin
        )

    def _negative(self, rcode: int) -> Answer:
        soa = self.zone.denial
        sig = self.zone.top.sig(types.SOA) if self.signed else None
        authority = (soa,) if sig is None else (soa, replace(sig, ttl=soa.ttl))
        return Answer(
            rcode,
            tuple(self.chain),
            (*authority, *self._proven()),
            flags=types.AA,
            plugin=self.zone.plugin,
        )

    def _proven(self) -> Section:
        """Each proof once: one record may deny several names."""
        return tuple(dict.fromkeys(self.proofs))

    def _ns(self) -> Section:
        """The zone's own servers, which CoreDNS names in every positive answer."""
        ns = self.zone.ns
        return () if ns is None else tuple(self._signed(self.zone.top, ns, self.zone.apex))

    def _signed(self, node: Node, rrset: RRset, owner: Key) -> list[RRset]:
        """Records under the name they are asked by, with their signatures."""
        sig = node.sig(rrset.type) if self.signed else None
        return [_owned(one, owner) for one in (rrset, sig) if one is not None]

    def _glue(self, rrsets: Iterable[RRset]) -> Section:
        """Addresses of what these records lead to, as far as the zone has them."""
        found: dict[tuple[bytes, int], RRset] = {}
        for rrset in rrsets:
            before = _TARGETS.get(rrset.type)
            if before is None:
                continue
            for rdata in rrset.rdatas:
                node = self.zone.nodes.get(names.fold(rdata[before:]))
                if node is None or (node.hidden_by is not None and rrset.type != types.NS):
                    continue
                for one in node.sets:
                    if one.type in _ADDRESSES:
                        found[one.owner, one.type] = one
        if self.signed:
            return tuple(self._with_sigs(found.values()))
        return tuple(found.values())

    def _with_sigs(self, glue: Iterable[RRset]) -> Iterable[RRset]:
        for one in glue:
            yield one
            sig = self.zone.nodes[names.fold(one.owner)].sig(one.type)
            if sig is not None:
                yield sig


def _owned(rrset: RRset, owner: Key) -> RRset:
    return rrset if rrset.owner == owner else replace(rrset, owner=owner)
