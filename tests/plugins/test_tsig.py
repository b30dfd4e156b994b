"""tsig: real clients with right and wrong keys; who may see what was remembered of others."""

import base64
import shutil
import subprocess
import time
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import pytest

from kdns.corefile.tree import ConfigError
from kdns.plugins.base import Backend
from kdns.plugins.tsig import Tsig
from kdns.wire import names, types
from kdns.wire.message import Answer, RRset
from tests import fakes
from tests.running import Running
from tests.stubs import World

SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
KEY = f"hmac-sha256:key.example:{SECRET}"
COREFILE = """. {{
    bind 127.0.0.1
    tsig {zones} {{
        secret key.example. {secret}
        {require}
    }}
    template IN ANY {{
        answer "{{{{ .Name }}}} 60 IN TXT hello"
    }}
}}
"""


class Signers(Backend):
    """Answers with the name of the key."""

    name = "signers"
    asked = 0

    async def answer(self, query):
        self.asked += 1
        rdata = (query.signer or names.ROOT).replace(b"\0", b"")
        return Answer(answer=(RRset(query.key, types.TXT, 60, (bytes((len(rdata),)) + rdata,)),))


def ask(port: int, *words: str) -> str:
    run = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(port), "+time=2", "+tries=1", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.stdout


def world(options: str = "") -> tuple[World, Signers]:
    where = fakes.site(wall=time.time)
    text = f"tsig {{\n secret key.example {SECRET}\n {options}\n}}\nsigners"
    made = fakes.plugins(text, where, Tsig, Signers)
    return World(*made), made[1]


def request(
    *, secret: str = SECRET, key: str = "key.example.", type_: str = "TXT", is_signed: bool = True
) -> dns.message.Message:
    query = dns.message.make_query("web.shop.", type_, use_edns=0)
    if is_signed:
        name = dns.name.from_text(key)
        query.use_tsig(dns.tsig.Key(name, base64.b64decode(secret), dns.tsig.HMAC_SHA256))
    return query


async def told(asked: World, query: dns.message.Message) -> dns.message.Message:
    reply = await asked.ask(query.to_wire())
    assert reply is not None
    return dns.message.from_wire(reply, keyring=query.keyring, request_mac=query.mac)


async def test_signed_and_unsigned_askers_share_nothing_in_either_order() -> None:
    for order in ((True, False), (False, True)):
        asked, signers = world()
        for _ in range(4):
            for is_signed in order:
                reply = await told(asked, request(is_signed=is_signed))
                assert reply.had_tsig == is_signed
                [text] = reply.answer[0]
                assert (b"key" in text.strings[0]) == is_signed
        assert signers.asked == 4 + 2  # the unsigned answer was remembered


async def test_what_must_be_signed_is_refused_without_and_never_from_the_table() -> None:
    asked, signers = world("require TXT")
    for _ in range(3):
        assert (await told(asked, request(is_signed=False))).rcode() == dns.rcode.REFUSED
        assert (await told(asked, request())).rcode() == dns.rcode.NOERROR
        assert (await told(asked, request(is_signed=False, type_="A"))).rcode() == 0
    assert signers.asked == 3 + 2


async def test_wrong_signatures_go_no_further() -> None:
    asked, signers = world()
    for wrong in (request(secret="AAAA" + SECRET[4:]), request(key="other.example.")):
        reply = await asked.ask(wrong.to_wire())
        assert reply is not None
        assert reply[3] & 15 == types.RCODES["NOTAUTH"]
        with pytest.raises(dns.tsig.PeerError):
            dns.message.from_wire(reply, keyring=wrong.keyring, request_mac=wrong.mac)
    assert signers.asked == 0


async def test_a_request_of_another_time_is_told_our_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, signers = world()
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - 4000)
    query = request()
    wire = query.to_wire()
    monkeypatch.undo()
    reply = await asked.ask(wire)
    assert reply is not None
    assert reply[-10:-8] == b"\0\x12"  # BADTIME
    assert abs(int.from_bytes(reply[-6:], "big") - now) < 10
    assert signers.asked == 0


async def test_a_reply_over_udp_has_room_for_its_signature() -> None:
    class Long(Backend):
        name = "long"

        async def answer(self, query):
            rdatas = tuple(bytes((10, 0, at // 256, at % 256)) for at in range(200))
            return Answer(answer=(RRset(query.key, types.A, 60, rdatas),))

    where = fakes.site(wall=time.time)
    made = fakes.plugins(f"tsig {{\n secret key.example {SECRET}\n}}\nlong", where, Tsig, Long)
    reply = await told(World(*made), request(type_="A"))
    assert reply.had_tsig
    assert reply.flags & dns.flags.TC


@pytest.mark.skipif(not shutil.which("dig"), reason="dig is not installed")
def test_dig_accepts_what_is_signed(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_text(COREFILE.format(zones="", secret=SECRET, require="require A"))
    with Running(path) as server:
        server.wait()
        for more in ((), ("+tcp",)):
            said = ask(server.port, "web.shop", "TXT", "-y", KEY, *more)
            assert "NOERROR" in said
            assert "TSIG PSEUDOSECTION" in said
            assert "could not be validated" not in said
        assert "REFUSED" in ask(server.port, "web.shop", "A")
        assert "TSIG" not in ask(server.port, "web.shop", "TXT")
        bad = ask(server.port, "web.shop", "TXT", "-y", KEY.replace("key.example", "no.example"))
        assert "NOTAUTH" in bad
        assert "BADKEY" in bad


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ("secret a.b", "expected"),
        ("secret a.b x y", "unexpected 'y'"),
        (f"secret a.b {SECRET}\nsecret A.B. {SECRET}", "given again"),
        ("require", "expected"),
        ("require a", "'a' is no type"),
        ("require A none", "'none' is no type"),
        ("require_opcode DSO", "'DSO' is no opcode"),
        ("secrets missing.keys", "cannot read"),
        ("secrets bad.keys", "has no secret"),
        ("secrets odd.keys", "expected a key, found 'zone'"),
        ("secrets more.keys", "'colour' is neither"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, inside: str, why: str) -> None:
    (tmp_path / "bad.keys").write_text("key a.b { };")
    (tmp_path / "odd.keys").write_text("zone x {};")
    (tmp_path / "more.keys").write_text('key a.b { secret "AA=="; colour blue; };')

    def read() -> None:
        [made] = fakes.plugins(f"tsig {{\n {inside}\n}}", fakes.site(root=str(tmp_path)), Tsig)
        made.look()

    with pytest.raises(ConfigError, match=why):
        read()


def test_files_of_keys_are_read_as_bind_writes_them(tmp_path: Path) -> None:
    (tmp_path / "my.keys").write_text(
        f'# one\nkey "One.example." {{\n  algorithm hmac-sha256; // any\n  secret "{SECRET}";\n}};\n'
        f"/* two\n */ key two.example {{ secret {SECRET}; }};"
    )
    [made] = fakes.plugins("tsig {\n secrets my.keys\n}", fakes.site(root=str(tmp_path)), Tsig)
    made.look()
    assert set(made._keys) == {names.parse_key(n) for n in ("one.example", "two.example")}
    assert set(made._keys.values()) == {base64.b64decode(SECRET)}


async def test_zones_outside_are_left_alone() -> None:
    where = fakes.site(wall=time.time)
    text = f"tsig other.zone {{\n secret key.example {SECRET}\n require all\n}}\nsigners"
    asked = World(*fakes.plugins(text, where, Tsig, Signers))
    assert (await told(asked, request(is_signed=False))).rcode() == dns.rcode.NOERROR
    reply = await asked.ask(request(secret="AAAA" + SECRET[4:]).to_wire())
    assert reply is not None
    assert reply[3] & 15 == types.NOERROR
