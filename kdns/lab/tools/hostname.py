"""`hostname [-f|-s|-d|-i|-I]`: the pod's, from its files."""

import socket
from collections.abc import Sequence

from kdns.lab.tools import pod as pods
from kdns.lab.tools.lookup import LookupFailed, find, in_hosts
from kdns.lab.tools.pod import Pod
from kdns.lab.tools.told import complain

_LONG = {"--fqdn": "-f", "--long": "-f", "--short": "-s", "--domain": "-d", "--ip-address": "-i",
         "--all-ip-addresses": "-I"}  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 1 when the name cannot be resolved or set."""
    pod = pods.here()
    name = pod.text("/etc/hostname").strip() if pod.files else socket.gethostname()
    asked = _LONG.get(words[0], words[0]) if words else ""
    if asked in {"", "-s"}:
        print(name.partition(".")[0] if asked else name)
        return 0
    if asked not in {"-f", "-d", "-i", "-I"}:
        complain("hostname: this one knows -f, -s, -d, -i and -I")
        return 1
    try:
        print(_told(pod, name, asked))
    except LookupFailed as error:
        complain(f"hostname: {error}")
        return 1
    return 0


def _told(pod: Pod, name: str, asked: str) -> str:
    if asked in {"-i", "-I"}:
        return " ".join(find(pod, name).addresses)
    found = in_hosts(pod, name, ("A", "AAAA"))
    whole = found.name if found else find(pod, name).name
    return whole if asked == "-f" else whole.partition(".")[2]
