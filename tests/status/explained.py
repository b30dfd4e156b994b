"""An explanation as `/explain` says it."""

from typing import Any

NO_SUCH_SERVICE: dict[str, Any] = {
    "name": "web.shp",
    "type": "A",
    "asker": "pod shop/web-1 (10.244.1.5), dnsPolicy ClusterFirst",
    "reasons": [
        {
            "id": "no-such-service",
            "says": 'namespace shop has no service "wbe"; the nearest is "web"',
            "evidence": [
                "services in shop: web, cart, checkout (as of resource version 1234)",
                'no other namespace has a service "wbe"',
            ],
            "next": ["kubectl get services -n shop", "kdns explain web.shop"],
        },
        {
            "id": "search-path",
            "says": "five search domains were tried before the name as written",
            "evidence": ["ndots is 5"],
            "next": ["kubectl get pod web-1 -n shop -o jsonpath='{.spec.dnsConfig}'"],
        },
    ],
    "walks": [
        {
            "libc": "glibc",
            "outcome": "no such name",
            "says": "EAI_NONAME",
            "addresses": [],
            "asked": [
                {
                    "name": "wbe.shop.svc.cluster.local.",
                    "type": "A",
                    "nameserver": ["10.96.0.10", 53],
                    "answer": "NXDOMAIN",
                    "took_s": 0.0003,
                    "because": "search domain 1 of 3: shop.svc.cluster.local",
                    "then": "goes on",
                },
                {
                    "name": "wbe.svc.cluster.local.",
                    "type": "A",
                    "nameserver": ["10.96.0.10", 53],
                    "answer": "NXDOMAIN",
                    "took_s": 0.0002,
                    "because": "search domain 2 of 3",
                    "then": "goes on",
                },
                {
                    "name": "wbe.",
                    "type": "A",
                    "nameserver": ["10.96.0.10", 53],
                    "answer": "NXDOMAIN",
                    "took_s": 0.02,
                    "because": "as written",
                    "then": "ends here: no such name",
                },
            ],
        },
        {
            "libc": "musl",
            "outcome": "no such name",
            "says": "EAI_NONAME",
            "addresses": [],
            "asked": [
                {
                    "name": "wbe.shop.svc.cluster.local.",
                    "type": "A",
                    "nameserver": ["10.96.0.10", 53],
                    "answer": "NXDOMAIN",
                    "because": "search domain 1 of 3",
                    "then": "goes on",
                }
            ],
        },
    ],
    "traces": [
        {
            "name": "wbe.shop.svc.cluster.local.",
            "type": "A",
            "visits": [
                {"plugin": "cache", "depth": 0, "answered": "NXDOMAIN"},
                {
                    "plugin": "kubernetes",
                    "depth": 1,
                    "answered": "NXDOMAIN",
                    "notes": ["no service"],
                },
            ],
        }
    ],
    "connections": [],
    "unknown": ["pods: 403 Forbidden: the service account may not list pods"],
}  # Any: JSON
