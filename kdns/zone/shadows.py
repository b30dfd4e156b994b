"""Names of services that public names are taken for: `yahoo.com` is service yahoo in namespace com.

A search path puts `svc.<zone>` behind every name, so whoever may make a namespace with the name of
a top-level domain answers for the public names in it. One called `svc` does so for the cluster's
own: `db.prod.svc` is then an endpoint of its service prod.
"""

from collections.abc import Iterable
from typing import Final

from kdns.wire.names import Key
from kdns.zone.view import View, Zone

OWN: Final = "svc"

_COUNTRIES: Final = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv
bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es
et eu fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu
id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt
lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no
np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si
sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk
us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_OTHERS: Final = """
aaa academy accountant accountants actor adult aero agency airforce amazon android apartments app
apple archi army art arpa asia associates attorney auction audi audio auto autos aws azure baby
band bank bar barclays bargains baseball basketball beauty beer berlin best bet bible bid bike bing
bingo bio biz black blackfriday blog bloomberg blue bmw bond boo book boston bot boutique box broker
build builders business buy buzz cab cafe cam camera camp canon capital car cards care career
careers cars casa cash casino cat catering center ceo channel charity chat cheap christmas chrome
church circle cisco citi city claims cleaning click clinic clothing cloud club coach codes coffee
college com community company compare computer condos construction consulting contact contractors
cooking cool coop country coupon coupons courses credit creditcard cricket cruises cyou dad dance
data date dating day deal deals degree delivery dell deloitte democrat dental dentist desi design
dev diamonds diet digital direct directory discount diy docs doctor dog domains dot download drive
earth eat eco edu education email energy engineer engineering enterprises equipment estate events
exchange expert exposed express fail faith family fan fans farm fashion fast feedback film final
finance financial fire fish fishing fit fitness flights florist flowers fly foo food football forex
forsale forum foundation free fun fund furniture futbol fyi gallery game games garden gay gdn gift
gifts gives giving glass global gmail gmbh gold golf google gop gov graphics gratis green gripe
grocery group guide guitars guru hair hamburg haus health healthcare help here hiphop hiv hockey
holdings holiday homes horse hospital host hosting hot hotel hotels house how ibm icu immo
immobilien inc industries info ing ink institute insurance insure int intel international
investments irish java jewelry jobs joy juegos kaufen kim kitchen kiwi land latino law lawyer lease
legal lgbt life lifestyle lighting like limited limo link live living llc llp loan loans locker lol
london lotto love ltd ltda luxe luxury madrid maison makeup management map market marketing markets
mba media medical meet meme memorial men menu miami microsoft mil mini mint mobi mobile moda moe moi
mom money monster mortgage moscow motorcycles mov movie museum music name navy net network new news
nexus ngo ninja now nyc observer office one ong onl online ooo oracle orange org organic page paris
partners parts party pay pet pharmacy phd phone photo photography photos physio pics pictures pink
pizza place play plumbing plus poker porn post press prime pro prod productions promo properties
property protection pub qpon quebec racing radio read realestate realtor realty recipes red rehab
reise reisen rent rentals repair report republican rest restaurant review reviews rich rip rocks
rodeo room rugby run ryukyu safe safety sale salon samsung sap sarl save sbs school schule science
search secure security select services sex sexy shop shopping show singles site ski skin sky soccer
social software solar solutions song space sport spot srl storage store stream studio study style
supplies supply support surf surgery systems talk tattoo tax taxi team tech technology tel tennis
theater tickets tienda tips tires today tokyo tools top tours town toyota toys trade trading
training travel trust tube university uno vacations vegas ventures vet viajes video villas vin vip
vision vodka vote voting voyage wang watch weather web webcam website wedding whoswho wien wiki win
wine work works world wow wtf xxx xyz yachts yahoo yoga you youtube zero zip zone
"""
PUBLIC: Final = frozenset((_COUNTRIES + _OTHERS).split())
"""Top-level domains: all of countries, and of the others those that namespaces may be called."""


def parse(lines: Iterable[str]) -> frozenset[str]:
    """Top-level domains, one a line, as IANA publishes them."""
    words = (line.partition("#")[0].strip().strip(".").lower() for line in lines)
    return frozenset(word for word in words if word)


def shadowing(view: View, domains: frozenset[str]) -> list[str]:
    """The keys of all services that shadow a name."""
    store = view.store
    if not any(name in domains or name == OWN for name in store.namespaces):
        return []
    return [
        key
        for key, service in store.services.items()
        if service.namespace in domains or service.namespace == OWN
    ]


def shadow(view: View, key: Key, domains: frozenset[str]) -> tuple[Zone, str, str] | None:
    """The zone, namespace and service of a name that may be taken for another."""
    place = view.find(key)
    if place is None or place[0].is_multicluster or isinstance(place[1], bytes):
        return None
    zone, labels = place
    if len(labels) < 3 or labels[-1] != "svc":
        return None
    namespace, service = str(labels[-2]), str(labels[-3])
    if namespace in domains or namespace == OWN:
        return zone, namespace, service
    return None


def told(namespace: str, service: str) -> str:
    """What a service shadows, for people."""
    if namespace == OWN:
        return f"names in namespace {service} that end in .svc"
    return f"the public name {service}.{namespace}"
