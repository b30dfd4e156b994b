"""`getent hosts|ahosts|ahostsv4|ahostsv6 KEY…`, as glibc's prints them."""

from collections.abc import Sequence

from kdns.client.search_replies import literal
from kdns.lab.tools import pod as pods
from kdns.lab.tools.lookup import Found, LookupFailed, find, find_name, hosts
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain

_DATABASES = {"ahosts": ("A", "AAAA"), "ahostsv4": ("A",), "ahostsv6": ("AAAA",)}
_MISSING, _USAGE = 2, 1


def main(words: Sequence[str]) -> int:
    """Exit code 0, 1 for a database that is unknown here, 2 when a key was not found."""
    if not words:
        complain("getent: wrong number of arguments")
        return _USAGE
    database, *keys = words
    pod = pods.here()
    if database == "hosts":
        return _hosts(pod, keys)
    if database not in _DATABASES:
        complain(f"Unknown database: {database} (this getent knows hosts, ahosts, ahostsv4 and "
                 "ahostsv6)")  # fmt: skip
        return _USAGE
    code = 0
    for key in keys:
        try:
            _print_sockets(_sought(pod, key, database), key)
        except LookupFailed:
            code = _MISSING
    return code


def _sought(pod: Pod, key: str, database: str) -> Found:
    families = _DATABASES[database]
    if database != "ahostsv6":
        return find(pod, key, *families)
    try:
        return find(pod, key, "AAAA")
    except LookupFailed:  # AI_V4MAPPED
        found = find(pod, key, "A")
        return Found(found.name, (), tuple(f"::ffff:{one}" for one in found.addresses))


def _print_sockets(found: Found, key: str) -> None:
    name = found.name if not literal(key) else key
    for address in found.addresses:
        for kind in ("STREAM", "DGRAM", "RAW"):
            print(f"{address:<15} {kind:<6} {name}")
            name = ""


def _hosts(pod: Pod, keys: Sequence[str]) -> int:
    if not keys:
        for address, called in hosts(pod):
            print(f"{address:<15} {' '.join(called)}")
        return 0
    code = 0
    for key in keys:
        try:
            found = _host(pod, key)
        except LookupFailed:
            code = _MISSING
            continue
        for address in found.addresses:
            print(f"{address:<15} {' '.join((found.name, *found.aliases))}")
    return code


def _host(pod: Pod, key: str) -> Found:
    if address := literal(key):
        return find_name(pod, pod.moved(address))
    try:
        return find(pod, key, "AAAA")  # glibc's asks for these first
    except LookupFailed:
        return find(pod, key, "A")
