"""Corefiles, good and deliberately wrong, of which each server says whether it takes them."""

import io
import re
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

import trustme

from kdns.cli.main import main
from tests.differential import peer, stanzas

Verdict = tuple[bool | None, str]
"""Whether a server takes a Corefile, and what it said; None when it fell over."""

BLOCKS = Path(__file__).with_name("blocks.txt")
"""The inside of one block per line; `|` ends a line there, URL_ is the line `endpoint URL`."""

VENDORS = Path(__file__).with_name("vendors")
"""The Corefiles that distributions and clouds ship, as they stand in their ConfigMaps."""

WHOLE = (
    "",
    "# a comment\n",
    ". {\n whoami\n}\n",
    ". {\n whoami\n",
    ". {\n}\n",
    ".\nwhoami\n",
    "example.org whoami\n",
    "example.org, example.net {\n whoami\n}\n",
    "example.org,\nexample.net {\n whoami\n}\n",
    "example.org\n{\n whoami\n}\n",
    ". { whoami }\n",
    ". {\n whoami }\n",
    ". {\n whoami\n} errors\n",
    ". {\n whoami\n}}\n",
    "}\n",
    "{\n whoami\n}\n",
    '"" {\n whoami\n}\n',
    ". {\n whoami\n}\n. {\n whoami\n}\n",
    ". {\n whoami\n}\n.:PORT {\n whoami\n}\n",
    "a.b {\n whoami\n}\nA.b. {\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\na.b {\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\na.b {\n bind 127.0.0.2\n whoami\n}\n",
    "a.b {\n bind 127.0.0.1\n whoami\n}\nb.c {\n whoami\n}\n",
    "dns://a.b {\n whoami\n}\n",
    "dns://a.b:PORT {\n whoami\n}\n",
    "foo://a.b {\n whoami\n}\n",
    "a.b:99999 {\n whoami\n}\n",
    "a.b:x {\n whoami\n}\n",
    "a.b: {\n whoami\n}\n",
    "a..b {\n whoami\n}\n",
    "a_b.c {\n whoami\n}\n",
    "*.b {\n whoami\n}\n",
    "10.0.0.0/24 {\n whoami\n}\n",
    "10.0.0.0/15 {\n whoami\n}\n",
    "10.0.0.0/25 {\n whoami\n}\n",
    "10.0.0.0/33 {\n whoami\n}\n",
    "10.0.0.1/24 {\n whoami\n}\n",
    "10.0.0.0 {\n whoami\n}\n",
    "2001:db8::/32 {\n whoami\n}\n",
    "2001:db8::/33 {\n whoami\n}\n",
    "x" * 64 + ".b {\n whoami\n}\n",
    "(snip) {\n whoami\n}\n. {\n import snip\n}\n",
    "(snip) {\n whoami {args[0]}\n}\n. {\n import snip\n}\n",
    "(snip) {\n errors {args[0]}\n}\n. {\n import snip stdout\n whoami\n}\n",
    "(snip) {\n whoami\n}\n",
    "(snip) {\n whoami\n}\n(snip) {\n errors\n}\n. {\n import snip\n}\n",
    "(a) {\n import b\n}\n(b) {\n import a\n}\n. {\n import a\n}\n",
    "import FOLDER/block\n",
    "import FOLDER/absent\n",
    ". {\n whoami # comment\n}# end\n",
    ". {\n errors std#out\n whoami\n}\n",
    "{$NOSUCH} {\n whoami\n}\n",
    ".{$NOSUCH} {\n whoami\n}\n",
    ". {\n errors {$NOSUCH}\n whoami\n}\n",
    ". {\n errors {%NOSUCH%}\n whoami\n}\n",
    ". {\n errors {%NOSUCH}\n whoami\n}\n",
    '. {\n errors "stdout\n whoami\n}\n',
    "\ufeff. {\n whoami\n}\n",
    ". {\r\n whoami\r\n}\r\n",
    ". {\n\twhoami\n}",
    "tls://.:PORT {\n TLS\n whoami\n}\n",
    "tls://.:PORT {\n whoami\n}\n",
    "https://.:PORT {\n TLS\n whoami\n}\n",
    "https://.:PORT {\n whoami\n}\n",
    "https3://.:PORT {\n TLS\n whoami\n}\n",
    "https3://.:PORT {\n whoami\n}\n",
    "quic://.:PORT {\n TLS\n whoami\n}\n",
    "quic://.:PORT {\n whoami\n}\n",
    "grpc://.:PORT {\n whoami\n}\n",
    "tls://a:PORT {\n TLS\n}\ntls://b:PORT {\n TLS\n}\n",
    "tls://a:PORT {\n TLS\n}\ntls://b:PORT {\n whoami\n}\n",
    "https://a:PORT {\n whoami\n}\nhttps://b:PORT {\n TLS\n}\n",
    "grpc://a:PORT {\n TLS\n}\ngrpc://b:PORT {\n whoami\n}\n",
    "tls://a:PORT {\n TLS FOLDER/cert.pem\n}\ntls://b:PORT {\n TLS\n}\n",
    "tls://a:PORT {\n TLS {\n client_auth request\n}\n}\ntls://b:PORT {\n TLS\n}\n",
    "https://a:PORT {\n https {\n max_streams 1\n}\n}\nhttps://b:PORT {\n https {\n max_streams 2\n}\n}\n",
    "https://a:PORT {\n https {\n max_streams 1\n}\n}\nhttps://b:PORT {\n https\n}\n",
    "tls://.:PORT tls://.:PORT {\n TLS\n whoami\n}\n",
    ".:PORT {\n whoami\n}\ntls://.:0 {\n TLS\n whoami\n}\n",
)
"""Whole Corefiles."""


def vendors() -> list[str]:
    """The Corefiles of distributions and clouds, made to run here."""
    return [on_loopback(path.read_text()) for path in sorted(VENDORS.glob("*.corefile"))]


def written() -> list[str]:
    """Every Corefile of both lists, written by hand."""
    lines = BLOCKS.read_text().splitlines()
    return [block(line) for line in lines] + [_with_files(one) for one in WHOLE]


def sample(rng: Random, count: int) -> tuple[list[str], bool]:
    """All vendors', and of the written and the generated ones half of the rest each; whether that is
    all there are."""
    first, hand, made = vendors(), written(), [block(line) for line in stanzas.lines()]
    half = max(count - len(first), 0) // 2
    chosen = rng.sample(hand, min(half, len(hand)))
    chosen += rng.sample(made, min(half, len(made)))
    return first + chosen, half >= max(len(hand), len(made))


def _with_files(corefile: str) -> str:
    return corefile.replace(" TLS", " tls FOLDER/cert.pem FOLDER/key.pem")


def on_loopback(corefile: str) -> str:
    """A Corefile that can run here: other ports and addresses, and another cluster."""
    for pattern, instead in (
        (r":(?:53|5353) \{", ":PORT {"),
        (r"^( *)bind .*", r"\1bind 127.0.0.1"),
        (r"^( *)(health|ready|prometheus)( +[\d.]*:\d+)?( .*)?$", r"\1\2 127.0.0.1:0\4"),
        (r"^( *kubernetes .*)\{$", r"\1{\n SOURCE"),
        (r"/etc/coredns", "FOLDER"),
    ):
        corefile = re.sub(pattern, instead, corefile, flags=re.MULTILINE)
    return corefile


def block(line: str) -> str:
    """The Corefile of one line of the list."""
    inside = (
        line.replace("URL_", "SOURCE").replace(" | ", "\n").replace(" |", "\n").replace("|", "\n")
    )
    return f". {{\n{inside}\n}}\n"


_CERTIFICATE = trustme.CA().issue_cert("localhost")
FILES = {
    "cert.pem": _CERTIFICATE.cert_chain_pems[0].bytes().decode(),
    "key.pem": _CERTIFICATE.private_key_pem.bytes().decode(),
    "block": ". {\n whoami\n}\n",
    "resolv.conf": "nameserver 127.0.0.1\n",
    "example.zone": "$ORIGIN example.org.\n@ 60 IN SOA ns h 5 7200 1800 86400 60\n"
    "@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n",
    "zero.zone": "example.org. 60 IN SOA ns.example.org. h.example.org. 0 7200 1800 86400 60\n",
    "keys": 'key "k.example." {\n  algorithm hmac-sha256;\n  secret "pRZgBrBvI4NAHZYhxmhs/Q==";\n};\n',
    "bad.keys": 'key "k.example." {\n};\n',
}
"""More files that these Corefiles name."""


def coredns_takes(corefile: str, wait_s: float = 2.0) -> tuple[bool, str]:
    """Whether CoreDNS goes on running with a Corefile, and what it said."""
    for _ in range(3):
        try:
            with peer.start_coredns(corefile, wait_s=wait_s) as running:
                return True, _last(running.log)
        except peer.PeerError as error:
            verdict = error.code is None, _last(error.log)
            if "address already in use" not in error.log:
                break  # the port was free a moment before: somebody else took it
    return verdict


def kdns_takes(corefile: str) -> tuple[bool | None, str]:
    """Whether `kdns check` finds nothing wrong, and what it said; None when it fell over."""
    said = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        path = Path(folder) / "Corefile"
        path.write_text(corefile.replace("PORT", "53"))
        with redirect_stdout(said), redirect_stderr(said):
            try:
                code: int | None = main(["check", str(path)])
            except Exception as error:
                code = None
                print(repr(error))
    return {0: True, 2: False}.get(code if code is not None else -1), _last(said.getvalue())


def _last(log: str) -> str:
    return " ".join(log.split()[-40:])
