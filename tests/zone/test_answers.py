"""Every clause of facts A and B about names and records, as tables: question, then what is said."""

import pytest

from kdns.cluster.store import Put
from tests.zone.worlds import (
    ask,
    dig,
    endpoint,
    endpoints,
    objects,
    pod,
    rows,
    say,
    service,
    service_import,
    slice_,
    store,
    view,
)

CLUSTER = (
    service("web", "10.0.0.1", "fd00::1", ports=["http:80", "dns:53/UDP"]),
    slice_(
        "web",
        endpoint("1.1.1.1"),
        endpoint("1.1.1.2", ready=False),
        endpoint("1.1.1.3", hostname="third"),
    ),
    service("plain", "10.0.0.2", ports=[]),
    service("unnamed", "10.0.0.3", ports=[":80"]),
    service("db", ports=["sql:3306"]),
    slice_(
        "db",
        endpoint("2.1.1.1", zone="za", pod="db-0"),
        endpoint("2.1.1.2", zone="Zb.c"),
        endpoint("2.1.1.3", zone="za", hostname="third"),
        endpoint("2.1.1.9", zone="za", ready=False),
        ports=["sql:3306", ":99", "stat:8125/UDP"],
    ),
    slice_(
        "db",
        endpoint("fd00::", zone="za"),
        endpoint("fd00::5", zone="za", hostname="third"),
        ports=["sql:3306"],
    ),
    service("idle"),
    slice_("idle", endpoint("2.2.2.2", ready=False)),
    service("ghost", "10.0.0.4", ns="b"),
    service("manual", "10.0.0.5"),
    endpoints("manual", "7.0.0.1", "7.0.0.2"),
    pod("p", "5.5.5.5", "fd00::55"),
    pod("q", "fd00:7::"),
    service("ext", external="Web.Example.com"),
    service("hop", external="ext.a.svc.cluster.local"),
    service("in", external="web.a.svc.cluster.local"),
    service("down", external="nothing.a.svc.cluster.local"),
    service("six", external="manual.a.svc.cluster.local"),
    service("me", external="me.a.svc.cluster.local"),
    service("under", external="x.under.a.svc.cluster.local"),
    service("ping", external="pong.a.svc.cluster.local"),
    service("pong", external="ping.a.svc.cluster.local"),
    service("number", external="192.0.2.1"),
    service("server", external="ns.dns.cluster.local"),
    service("apex", external="cluster.local"),
    service_import("far", "10.9.9.9"),
    service_import("farless"),
    slice_("farless", endpoint("9.1.1.1", hostname="h"), cluster="c1"),
    slice_("farless", endpoint("9.1.1.2", hostname="h"), endpoint("9.1.1.3"), cluster="c2"),
)


@pytest.fixture(scope="module")
def cluster():
    return store(*CLUSTER)


def table(text):
    """Lines `name TYPE → said` become parameters."""
    lines = [line.split(None, 2) for line in text.strip().splitlines() if line.strip()]
    return [pytest.param(*line, id=f"{line[0]}-{line[1]}") for line in lines]


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    web.a.svc.cluster.local             A      10.0.0.1
    web.a.svc.cluster.local             AAAA   fd00::1
    WEB.A.svc.Cluster.Local             A      10.0.0.1
    plain.a.svc.cluster.local           AAAA   NODATA
    web.a.svc.cluster.local             MX     NODATA
    web.a.svc.cluster.local             HTTPS  NODATA
    web.a.svc.cluster.local             ANY    NODATA
    web.a.svc.cluster.local             CNAME  NODATA
    web.a.svc.cluster.local             PTR    NODATA
    web.a.svc.cluster.local             NS     NODATA
    web.a.svc.cluster.local             TXT    NODATA
    nope.a.svc.cluster.local            A      NXDOMAIN
    nope.a.svc.cluster.local            MX     NXDOMAIN
    nope.a.svc.cluster.local            TXT    NXDOMAIN
    nope.a.svc.cluster.local            SOA    NODATA
    web.a.svc.cluster.local             SOA    NODATA
    web.b.svc.cluster.local             A      NXDOMAIN
    web.zz.svc.cluster.local            A      NXDOMAIN
    web.a.cluster.local                 A      NXDOMAIN
    web.a.svc.in-addr.arpa              A      NXDOMAIN
    manual.a.svc.cluster.local          A      10.0.0.5
    7-0-0-2.manual.a.svc.cluster.local  A      7.0.0.2
    """),
)
def test_a_service_answers_with_its_cluster_ips(cluster, name, type_, said):
    assert say(view(cluster), name, type_) == said


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    db.a.svc.cluster.local                   A     2.1.1.1 | 2.1.1.2 | 2.1.1.3
    db.a.svc.cluster.local                   AAAA  fd00:: | fd00::5
    db.a.svc.cluster.local                   TXT   NODATA
    idle.a.svc.cluster.local                 A     NXDOMAIN
    idle.a.svc.cluster.local                 SRV   NXDOMAIN
    idle.a.svc.cluster.local                 TXT   NXDOMAIN
    third.db.a.svc.cluster.local             A     2.1.1.3
    third.db.a.svc.cluster.local             AAAA  fd00::5
    third.db.a.svc.cluster.local             MX    NODATA
    2-1-1-1.db.a.svc.cluster.local           A     2.1.1.1
    2-1-1-1.db.a.svc.cluster.local           AAAA  NODATA
    2-1-1-3.db.a.svc.cluster.local           A     NXDOMAIN
    2-1-1-9.db.a.svc.cluster.local           A     NXDOMAIN
    db-0.db.a.svc.cluster.local              A     NXDOMAIN
    fd00--0.db.a.svc.cluster.local           AAAA  fd00::
    fd00--.db.a.svc.cluster.local            AAAA  NXDOMAIN
    fd00-0--0.db.a.svc.cluster.local         AAAA  NXDOMAIN
    1-1-1-1.web.a.svc.cluster.local          A     1.1.1.1
    1-1-1-2.web.a.svc.cluster.local          A     NXDOMAIN
    third.web.a.svc.cluster.local            A     1.1.1.3
    x.db.a.svc.cluster.local                 A     NXDOMAIN
    _http.web.a.svc.cluster.local            A     NXDOMAIN
    _sql._tcp.third.db.a.svc.cluster.local   SRV   NXDOMAIN
    x.y.z.db.a.svc.cluster.local             A     NXDOMAIN
    """),
)
def test_endpoints_answer_when_they_are_ready(cluster, name, type_, said):
    assert say(view(cluster), name, type_) == said


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    _http._tcp.web.a.svc.cluster.local      A    10.0.0.1
    http.tcp.web.a.svc.cluster.local        A    10.0.0.1
    _HTTP._Tcp.web.a.svc.cluster.local      A    10.0.0.1
    __http._tcp.web.a.svc.cluster.local     A    NXDOMAIN
    _._tcp.web.a.svc.cluster.local          A    10.0.0.1
    _http._udp.web.a.svc.cluster.local      A    NXDOMAIN
    _http._udp.web.a.svc.cluster.local      TXT  NXDOMAIN
    _http._tcp.web.a.svc.cluster.local      TXT  NODATA
    _sql._tcp.db.a.svc.cluster.local        AAAA fd00:: | fd00::5
    _stat._udp.db.a.svc.cluster.local       AAAA NODATA
    _http._tcp.unnamed.a.svc.cluster.local  SRV  NXDOMAIN
    _http._tcp.plain.a.svc.cluster.local    SRV  NXDOMAIN
    _tcp.web.a.svc.cluster.local            A    NODATA
    _udp.web.a.svc.cluster.local            A    NODATA
    _sctp.web.a.svc.cluster.local           A    NXDOMAIN
    _tcp.unnamed.a.svc.cluster.local        A    NXDOMAIN
    _udp.db.a.svc.cluster.local             A    NODATA
    _tcp.idle.a.svc.cluster.local           A    NXDOMAIN
    """),
)
def test_two_labels_pick_a_port_for_every_type(cluster, name, type_, said):
    assert say(view(cluster), name, type_) == said


def test_srv_of_a_service_points_at_it_once_per_port_with_glue_of_both_families(cluster):
    reply = dig(view(cluster), "_http._tcp.web.a.svc.cluster.local", "SRV")
    assert rows(reply.answer) == [
        "_http._tcp.web.a.svc.cluster.local. 5 SRV 0 50 80 web.a.svc.cluster.local."
    ]
    assert rows(reply.additional) == [
        "web.a.svc.cluster.local. 5 A 10.0.0.1",
        "web.a.svc.cluster.local. 5 AAAA fd00::1",
    ]


def test_srv_of_a_headless_service_names_each_ready_endpoint(cluster):
    reply = dig(view(cluster), "_sql._tcp.db.a.svc.cluster.local", "SRV")
    owner, under = "_sql._tcp.db.a.svc.cluster.local.", "db.a.svc.cluster.local."
    targets = ["2-1-1-1", "2-1-1-2", "fd00--0", "third"]
    assert rows(reply.answer) == [f"{owner} 5 SRV 0 20 3306 {one}.{under}" for one in targets]
    assert rows(reply.additional) == [
        f"2-1-1-1.{under} 5 A 2.1.1.1",
        f"2-1-1-2.{under} 5 A 2.1.1.2",
        f"fd00--0.{under} 5 AAAA fd00::",
        f"third.{under} 5 A 2.1.1.3",
        f"third.{under} 5 AAAA fd00::5",
    ]


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("web.a.svc.cluster.local", {(25, 80), (25, 53)}),
        ("unnamed.a.svc.cluster.local", {(100, 80)}),
        # three IPv4 endpoints of three ports and two IPv6 of one: eleven candidates
        ("db.a.svc.cluster.local", {(9, 3306), (9, 99), (9, 8125)}),
        ("third.db.a.svc.cluster.local", {(25, 3306), (25, 99), (25, 8125)}),
    ],
)
def test_srv_weights_count_every_address_and_port_before_duplicates_go(cluster, name, weights):
    (rrset,) = dig(view(cluster), name, "SRV").answer
    assert {(one.weight, one.port) for one in rrset} == weights


def test_srv_weights_are_never_below_one():
    many = store(
        service("many"),
        slice_("many", *(endpoint(f"10.1.{i // 250}.{i % 250}") for i in range(300))),
    )
    (rrset,) = dig(view(many), "many.a.svc.cluster.local", "SRV").answer
    assert len(rrset) == 300
    assert {one.weight for one in rrset} == {1}


def test_a_service_without_ports_has_addresses_but_no_srv(cluster):
    assert say(view(cluster), "plain.a.svc.cluster.local") == "10.0.0.2"
    reply = dig(view(cluster), "plain.a.svc.cluster.local", "SRV")
    assert rows(reply.answer) == rows(reply.additional) == []
    assert reply.authority[0].name.to_text() == "cluster.local."


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    cluster.local              A     NODATA
    cluster.local              TXT   NODATA
    svc.cluster.local          A     NODATA
    pod.cluster.local          A     NODATA
    svc.cluster.local          TXT   NODATA
    a.svc.cluster.local        A     NODATA
    a.svc.cluster.local        TXT   NODATA
    a.pod.cluster.local        A     NODATA
    zz.svc.cluster.local       A     NXDOMAIN
    zz.pod.cluster.local       A     NXDOMAIN
    x.cluster.local            A     NXDOMAIN
    x.cluster.local            TXT   NXDOMAIN
    x.y.cluster.local          A     NXDOMAIN
    dns-version.cluster.local  TXT   "1.1.0"
    dns-version.cluster.local  A     NODATA
    x.dns-version.cluster.local TXT  NXDOMAIN
    dns-version.in-addr.arpa   TXT   "1.1.0"
    dns.cluster.local          A     NODATA
    ns.dns.cluster.local       MX    NODATA
    ns.dns.cluster.local       TXT   NODATA
    x.dns.cluster.local        A     NXDOMAIN
    x.ns.dns.cluster.local     A     NXDOMAIN
    in-addr.arpa               A     NODATA
    in-addr.arpa               PTR   NODATA
    a.svc.in-addr.arpa         A     NXDOMAIN
    """),
)
def test_a_name_with_names_below_it_exists_for_every_type(cluster, name, type_, said):
    assert say(view(cluster, pods="insecure"), name, type_) == said


def test_names_of_pods_do_not_exist_while_pods_are_disabled(cluster):
    assert say(view(cluster), "a.pod.cluster.local") == "NXDOMAIN"
    assert say(view(cluster), "5-5-5-5.a.pod.cluster.local") == "NXDOMAIN"


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    9-8-7-6.a.pod.cluster.local        A     9.8.7.6
    9-8-7-6.a.pod.cluster.local        AAAA  NODATA
    9-8-7-6.zz.pod.cluster.local       A     NXDOMAIN
    fd00--7.a.pod.cluster.local        AAAA  fd00::7
    fd00-0--7.a.pod.cluster.local      AAAA  fd00::7
    --ffff-a00-1.a.pod.cluster.local   A     10.0.0.1
    1-2-3.a.pod.cluster.local          A     NXDOMAIN
    1-2-3-256.a.pod.cluster.local      A     NXDOMAIN
    01-2-3-4.a.pod.cluster.local       A     NXDOMAIN
    a-b-c-d.a.pod.cluster.local        A     NXDOMAIN
    web.a.pod.cluster.local            A     NXDOMAIN
    x.y.9-8-7-6.a.pod.cluster.local    A     9.8.7.6
    x.y.z.9-8-7-6.a.pod.cluster.local  A     NXDOMAIN
    9-8-7-6.a.pod.cluster.local        TXT   NODATA
    9-8-7-6.a.pod.cluster.local        SRV   0 100 0 9-8-7-6.a.pod.cluster.local.
    x.9-8-7-6.a.pod.cluster.local      SRV   0 100 0 9-8-7-6.a.pod.cluster.local.
    """),
)
def test_insecure_pod_names_spell_an_address(cluster, name, type_, said):
    assert say(view(cluster, pods="insecure"), name, type_) == said


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    5-5-5-5.a.pod.cluster.local      A     5.5.5.5
    5-5-5-5.a.pod.cluster.local      AAAA  NODATA
    fd00--55.a.pod.cluster.local     AAAA  fd00::55
    fd00-0--55.a.pod.cluster.local   AAAA  NXDOMAIN
    fd00-7--.a.pod.cluster.local     AAAA  fd00:7::
    fd00-7--.a.pod.cluster.local     A     NODATA
    fd00-7--0.a.pod.cluster.local    AAAA  fd00:7::
    5-5-5-5.b.pod.cluster.local      A     NXDOMAIN
    5-5-5-6.a.pod.cluster.local      A     NXDOMAIN
    """),
)
def test_verified_pod_names_need_such_a_pod_in_the_namespace(cluster, name, type_, said):
    assert say(view(cluster, pods="verified"), name, type_) == said


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    1.0.0.10.in-addr.arpa   PTR  web.a.svc.cluster.local.
    4.0.0.10.in-addr.arpa   PTR  ghost.b.svc.cluster.local.
    1.1.1.1.in-addr.arpa    PTR  1-1-1-1.web.a.svc.cluster.local.
    2.1.1.1.in-addr.arpa    PTR  NXDOMAIN
    3.1.1.1.in-addr.arpa    PTR  third.web.a.svc.cluster.local.
    3.1.1.2.in-addr.arpa    PTR  third.db.a.svc.cluster.local.
    5.5.5.5.in-addr.arpa    PTR  NXDOMAIN
    9.9.9.10.in-addr.arpa   PTR  NXDOMAIN
    1.1.1.9.in-addr.arpa    PTR  NXDOMAIN
    0.0.10.in-addr.arpa     PTR  NXDOMAIN
    01.0.0.10.in-addr.arpa  PTR  NXDOMAIN
    1.1.0.0.10.in-addr.arpa PTR  NXDOMAIN
    1.0.0.10.in-addr.arpa   A    NODATA
    9.0.0.10.in-addr.arpa   A    NXDOMAIN
    9.0.0.10.in-addr.arpa   SOA  NODATA
    1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa PTR web.a.svc.cluster.local.
    0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa PTR fd00--0.db.a.svc.cluster.local.
    0.0.0.0.d.f.ip6.arpa    PTR  NXDOMAIN
    """),
)
def test_reverse_names_lead_to_a_service_or_to_every_endpoint(cluster, name, type_, said):
    assert say(view(cluster), name, type_) == said


def test_an_address_shared_by_services_names_them_all_hostnames_first_once_each():
    shared = store(
        service("b1"),
        slice_("b1", endpoint("3.3.3.3")),
        service("a1"),
        slice_("a1", endpoint("3.3.3.3"), name="one"),
        slice_("a1", endpoint("3.3.3.3"), name="two"),
        service("z1"),
        slice_("z1", endpoint("3.3.3.3", hostname="zed")),
    )
    (rrset,) = dig(view(shared), "3.3.3.3.in-addr.arpa", "PTR").answer
    assert [str(one).partition(".svc")[0] for one in rrset] == [
        "zed.z1.a",
        "3-3-3-3.a1.a",
        "3-3-3-3.b1.a",
    ]


def test_reverse_names_are_answered_in_a_zone_above_the_reverse_tree(cluster):
    assert say(view(cluster, "."), "1.0.0.10.in-addr.arpa", "PTR") == "web.a.svc."


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    ext.a.svc.cluster.local             CNAME  Web.Example.com.
    ext.a.svc.cluster.local             A      outside web.example.com.
    ext.a.svc.cluster.local             AAAA   outside web.example.com.
    ext.a.svc.cluster.local             SRV    Web.Example.com.
    ext.a.svc.cluster.local             TXT    Web.Example.com.
    ext.a.svc.cluster.local             MX     Web.Example.com.
    x.ext.a.svc.cluster.local           A      NXDOMAIN
    _http._tcp.ext.a.svc.cluster.local  A      NXDOMAIN
    _http._tcp.ext.a.svc.cluster.local  CNAME  NXDOMAIN
    hop.a.svc.cluster.local             A      outside web.example.com.
    in.a.svc.cluster.local              A      10.0.0.1 | web.a.svc.cluster.local.
    in.a.svc.cluster.local              AAAA   fd00::1 | web.a.svc.cluster.local.
    in.a.svc.cluster.local              SRV    web.a.svc.cluster.local.
    down.a.svc.cluster.local            A      NODATA
    down.a.svc.cluster.local            CNAME  nothing.a.svc.cluster.local.
    six.a.svc.cluster.local             AAAA   NODATA
    me.a.svc.cluster.local              A      NODATA
    me.a.svc.cluster.local              CNAME  me.a.svc.cluster.local.
    under.a.svc.cluster.local           A      NODATA
    ping.a.svc.cluster.local            A      NODATA
    number.a.svc.cluster.local          A      NXDOMAIN
    number.a.svc.cluster.local          CNAME  NXDOMAIN
    apex.a.svc.cluster.local            A      NODATA
    """),
)
def test_external_names_are_followed_inside_the_zone(cluster, name, type_, said):
    assert say(view(cluster), name, type_) == said


def test_an_external_name_may_point_at_the_name_servers(cluster):
    own = view(cluster, own=(b"\x7f\0\0\1",))
    assert say(own, "server.a.svc.cluster.local") == "127.0.0.1 | ns.dns.cluster.local."


def test_a_chain_of_external_names_ends_after_eleven_links():
    def chain(length):
        links = [
            service(f"s{at}", external=f"s{at + 1}.a.svc.cluster.local") for at in range(length)
        ]
        return view(store(*links, service(f"s{length}", "10.0.0.1")))

    assert say(chain(11), "s0.a.svc.cluster.local").endswith("s9.a.svc.cluster.local.")
    assert say(chain(12), "s0.a.svc.cluster.local") == "NODATA"


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    za.pin._zone.db.a.svc.cluster.local       A     2.1.1.1 | 2.1.1.3
    za.pin._zone.db.a.svc.cluster.local       AAAA  fd00:: | fd00::5
    zb.c.pin._zone.db.a.svc.cluster.local     A     2.1.1.2
    zb.c.pin._zone.db.a.svc.cluster.local     AAAA  NODATA
    zb.c.prefer._zone.db.a.svc.cluster.local  AAAA  NODATA
    zz.pin._zone.db.a.svc.cluster.local       A     NODATA
    zz.prefer._zone.db.a.svc.cluster.local    A     2.1.1.1 | 2.1.1.2 | 2.1.1.3
    za.pin._zone.db.a.svc.cluster.local       TXT   NODATA
    za.pin._zone.idle.a.svc.cluster.local     A     NODATA
    za.pin._zone.web.a.svc.cluster.local      A     NXDOMAIN
    za.pin._zone.ext.a.svc.cluster.local      A     NXDOMAIN
    za.pin._zone.nope.a.svc.cluster.local     A     NXDOMAIN
    za.near._zone.db.a.svc.cluster.local      A     NXDOMAIN
    pin._zone.db.a.svc.cluster.local          A     NXDOMAIN
    """),
)
def test_zonal_names_keep_to_a_topology_zone(cluster, name, type_, said):
    assert say(view(cluster, zonal=True), name, type_) == said


def test_zonal_names_mean_nothing_unless_asked_for(cluster):
    assert say(view(cluster), "za.pin._zone.db.a.svc.cluster.local") == "NXDOMAIN"


def test_zonal_srv_is_filtered_with_its_glue(cluster):
    reply = dig(view(cluster, zonal=True), "zb.c.pin._zone.db.a.svc.cluster.local", "SRV")
    (rrset,) = reply.answer
    assert {(one.weight, str(one.target)) for one in rrset} == {
        (33, "2-1-1-2.db.a.svc.cluster.local.")
    }
    assert rows(reply.additional) == ["2-1-1-2.db.a.svc.cluster.local. 5 A 2.1.1.2"]


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    far.a.svc.far.set                A    10.9.9.9
    far.a.svc.far.set                SRV  0 100 80 far.a.svc.far.set.
    web.a.svc.far.set                A    NXDOMAIN
    ext.a.svc.far.set                A    NXDOMAIN
    far.a.svc.cluster.local          A    NXDOMAIN
    farless.a.svc.cluster.local      A    NXDOMAIN
    farless.a.svc.far.set            A    9.1.1.1 | 9.1.1.2 | 9.1.1.3
    h.c1.farless.a.svc.far.set       A    9.1.1.1
    9-1-1-3.c2.farless.a.svc.far.set A    9.1.1.3
    h.farless.a.svc.far.set          A    NXDOMAIN
    c1.farless.a.svc.far.set         A    NODATA
    c3.farless.a.svc.far.set         A    NXDOMAIN
    _http._tcp.farless.a.svc.far.set A    9.1.1.1 | 9.1.1.2 | 9.1.1.3
    http._tcp.farless.a.svc.far.set  A    9.1.1.1 | 9.1.1.2 | 9.1.1.3
    http.tcp.farless.a.svc.far.set   A    NXDOMAIN
    a.svc.far.set                    A    NODATA
    """),
)
def test_multicluster_zones_hold_imported_services_only(cluster, name, type_, said):
    zones = ("cluster.local", "in-addr.arpa", "far.set")
    assert say(view(cluster, *zones, imported="far.set."), name, type_) == said


def test_multicluster_srv_targets_carry_the_cluster(cluster):
    where = view(cluster, "cluster.local", "far.set", imported="far.set.")
    reply = dig(where, "_http._tcp.farless.a.svc.far.set", "SRV")
    under = "farless.a.svc.far.set."
    targets = {f"h.c1.{under}", f"h.c2.{under}", f"9-1-1-3.c2.{under}"}
    assert {str(one.target) for one in reply.answer[0]} == targets
    assert {one.weight for one in reply.answer[0]} == {33}


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    web.a.svc.cluster.local    A    10.0.0.1
    ghost.b.svc.cluster.local  A    NXDOMAIN
    b.svc.cluster.local        A    NXDOMAIN
    1-2-3-4.b.pod.cluster.local A   NXDOMAIN
    4.0.0.10.in-addr.arpa      PTR  NXDOMAIN
    1.0.0.10.in-addr.arpa      PTR  web.a.svc.cluster.local.
    1.1.1.1.in-addr.arpa       PTR  1-1-1-1.web.a.svc.cluster.local.
    """),
)
def test_only_listed_namespaces_are_exposed(cluster, name, type_, said):
    where = view(cluster, pods="insecure", namespaces=frozenset({"a", "gone"}))
    assert say(where, name, type_) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web", "10.0.0.1"),
        ("plain", "NXDOMAIN"),
        ("manual", "10.0.0.5"),
        ("_http._tcp.unnamed", "NXDOMAIN"),
    ],
)
def test_empty_services_can_be_left_out(cluster, name, said):
    assert say(view(cluster, ignore_empty=True), f"{name}.a.svc.cluster.local") == said


@pytest.mark.parametrize(
    ("name", "type_", "said"),
    table("""
    db-0.db.a.svc.cluster.local     A    2.1.1.1
    2-1-1-1.db.a.svc.cluster.local  A    NXDOMAIN
    2-1-1-2.db.a.svc.cluster.local  A    2.1.1.2
    third.db.a.svc.cluster.local    A    2.1.1.3
    1.1.1.2.in-addr.arpa            PTR  db-0.db.a.svc.cluster.local.
    """),
)
def test_endpoints_can_be_named_after_their_pods(cluster, name, type_, said):
    assert say(view(cluster, pod_names=True), name, type_) == said


def test_pod_names_longer_than_a_label_are_not_used():
    name = "p" * 64
    long = view(store(service("db"), slice_("db", endpoint("2.2.2.2", pod=name))), pod_names=True)
    assert say(long, "2-2-2-2.db.a.svc.cluster.local") == "2.2.2.2"


def test_negative_answers_carry_the_soa_of_the_asked_zone(cluster):
    for name, zone in (("x.cluster.local", "cluster.local."), ("9.in-addr.arpa", "in-addr.arpa.")):
        reply = dig(view(cluster, ttl=400), name)
        (rrset,) = reply.authority
        assert rows([rrset]) == [
            f"{zone} 300 SOA ns.dns.{zone} hostmaster.{zone} 1000 7200 1800 86400 400"
        ]
        assert not reply.answer
        assert not reply.additional


def test_the_soa_is_answered_at_the_apex_with_the_ttl_option(cluster):
    reply = dig(view(cluster, ttl=7), "Cluster.Local", "SOA")
    soa = "ns.dns.Cluster.Local. hostmaster.Cluster.Local. 1000 7200 1800 86400 7"
    assert [str(one) for one in reply.answer[0]] == [soa]
    assert reply.answer[0].ttl == 7
    assert reply.answer[0].name.to_text() == "Cluster.Local."


def test_every_answer_is_authoritative_and_never_kept_by_cache(cluster):
    for name in ("web.a.svc.cluster.local", "x.cluster.local", "cluster.local"):
        found = ask(view(cluster, own=(b"abcd",)), name, "NS")
        assert found.live
        assert found.plugin == "kubernetes"
        assert found.flags == 0x0400


def test_the_serial_follows_the_store(cluster):
    known = store(*CLUSTER)
    where = view(known)
    assert dig(where, "cluster.local", "SOA").answer[0][0].serial == 1000
    known.apply(Put(objects([service("new", "10.0.9.9")])[1]), 2000)
    assert dig(where, "x.cluster.local").authority[0][0].serial == 2000


def test_ttl_is_that_of_the_option_but_for_the_version(cluster):
    where = view(cluster, ttl=0)
    assert dig(where, "web.a.svc.cluster.local").answer[0].ttl == 0
    assert dig(where, "dns-version.cluster.local", "TXT").answer[0].ttl == 28800
