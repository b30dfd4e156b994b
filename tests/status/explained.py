"""An explanation as `/explain` says it: a slip of the pen."""

from kdns.explain.shapes import (
    ExplanationShape,
    ReasonShape,
    StepShape,
    VisitShape,
    WalkShape,
)

SEARCH = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "")


def _step(place: int, kind: str) -> StepShape:
    name = f"wbe.shop.{SEARCH[place]}".rstrip(".") + "."
    because = f"search domain {place + 1} of 3: {SEARCH[place]}" if place < 3 else "as written"
    then = "goes on" if place < 3 else "ends here: no such name"
    inside = [
        VisitShape("cache", 0, name, kind, "passed on", []),
        VisitShape("kubernetes", 1, name, kind, "NXDOMAIN", ["no service wbe in shop"]),
    ]
    return StepShape(
        name, kind, "10.96.0.10:53", "udp", 0.31, "NXDOMAIN", "", [], [], [], because, then,
        ".:53", "kubernetes", inside,
    )  # fmt: skip


def _walk(libc: str, places: int) -> WalkShape:
    steps = [_step(place, kind) for place in range(places) for kind in ("A", "AAAA")]
    return WalkShape(libc, "no such name", "EAI_NONAME", "", "", [], steps)


NO_SUCH_SERVICE = ExplanationShape(
    "wbe.shop",
    "",
    "pod shop/cart-0 (10.244.1.5), dnsPolicy ClusterFirst",
    [
        ReasonShape(
            "no-such-service",
            'namespace shop has no service "wbe"; the nearest name there is "web"',
            ["services in shop: cart, db, web", 'no other namespace has a service "wbe"'],
            ["kubectl get services -n shop", "kdns explain web.shop"],
        ),
        ReasonShape(
            "search-wastes", "three of four questions were asked in vain", ["ndots is 5"], []
        ),
    ],
    [_walk("glibc", 4), _walk("musl", 4)],
    [],
    ["pods: 403, the service account may not list them"],
)
