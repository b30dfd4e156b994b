"""What is asked of a real server (by record.py) and of the lab (by the tests), to be compared."""

from typing import Any

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

BASES: dict[str, dict[str, Any]] = {
    "service": {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web",
            "labels": {"app": "web", "tier": "front"},
            "annotations": {"note": "one"},
            "finalizers": ["lab.test/a", "lab.test/b"],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 5353},
            ],
        },
    },
    "deployment": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "tolerations": [{"key": "a", "operator": "Exists"}],
                    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}],
                    "imagePullSecrets": [{"name": "one"}],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {}},
                        {"name": "conf", "configMap": {"name": "conf"}},
                    ],
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "args": ["-a", "-b"],
                            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                            "ports": [{"containerPort": 8080}, {"containerPort": 9090}],
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                        },
                        {"name": "side", "image": "side:1"},
                    ],
                },
            },
        },
    },
    "configmap": {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "conf", "annotations": {"c.d/e": "3"}},
        "data": {"a": "1", "b": "2"},
    },
}

PATHS = {"service": "services", "deployment": "deployments", "configmap": "configmaps"}


def _pod(spec: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


PATCHES: dict[str, tuple[str, str, Any]] = {
    "json add member": ("configmap", JSON, [{"op": "add", "path": "/data/x", "value": "9"}]),
    "json escaped": ("configmap", JSON, [{"op": "replace", "path": "/metadata/annotations/c.d~1e", "value": "9"}]),
    "json remove": ("configmap", JSON, [{"op": "remove", "path": "/data/a"}]),
    "json remove missing": ("configmap", JSON, [{"op": "remove", "path": "/data/z"}]),
    "json replace missing": ("configmap", JSON, [{"op": "replace", "path": "/data/z", "value": "1"}]),
    "json test holds": (
        "configmap",
        JSON,
        [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "remove", "path": "/data/a"}],
    ),
    "json test fails": ("configmap", JSON, [{"op": "test", "path": "/data/a", "value": "2"}]),
    "json test null": ("configmap", JSON, [{"op": "test", "path": "/data/zz", "value": None}]),
    "json move": ("configmap", JSON, [{"op": "move", "from": "/data/a", "path": "/data/z"}]),
    "json copy": ("configmap", JSON, [{"op": "copy", "from": "/data/a", "path": "/data/z"}]),
    "json copy missing": ("configmap", JSON, [{"op": "copy", "from": "/data/q", "path": "/data/z"}]),
    "json unknown op": ("configmap", JSON, [{"op": "bad", "path": "/data/a"}]),
    "json no list": ("configmap", JSON, {"op": "bad"}),
    "json add in list": (
        "service",
        JSON,
        [{"op": "add", "path": "/spec/ports/0", "value": {"name": "x", "port": 1}}],
    ),
    "json append": (
        "service",
        JSON,
        [{"op": "add", "path": "/spec/ports/-", "value": {"name": "x", "port": 1}}],
    ),
    "json add behind end": (
        "service",
        JSON,
        [{"op": "add", "path": "/spec/ports/9", "value": {"name": "x", "port": 1}}],
    ),
    "json remove from list": ("service", JSON, [{"op": "remove", "path": "/spec/ports/1"}]),
    "json remove last": ("service", JSON, [{"op": "remove", "path": "/spec/ports/-1"}]),
    "json replace in list": (
        "service",
        JSON,
        [{"op": "replace", "path": "/spec/ports/1/port", "value": 54}],
    ),
    "json add below nothing": ("service", JSON, [{"op": "add", "path": "/spec/a/b", "value": 1}]),
    "merge": ("configmap", MERGE, {"data": {"a": None, "x": "9"}}),
    "merge drops data": ("configmap", MERGE, {"data": None}),
    "merge replaces lists": ("service", MERGE, {"spec": {"ports": [{"port": 1}]}}),
    "merge labels": ("service", MERGE, {"metadata": {"labels": {"app": None, "x": "y"}}}),
    "merge no object": ("service", MERGE, [1]),
    "merge unknown field": ("service", MERGE, {"spec": {"bogus": 1}}),
    "strategic no object": ("service", STRATEGIC, [1]),
    "ports by port": ("service", STRATEGIC, {"spec": {"ports": [{"port": 80, "targetPort": 81}]}}),
    "ports new": ("service", STRATEGIC, {"spec": {"ports": [{"name": "x", "port": 1}]}}),
    "ports delete": ("service", STRATEGIC, {"spec": {"ports": [{"port": 53, "$patch": "delete"}]}}),
    "ports replaced": (
        "service",
        STRATEGIC,
        {"spec": {"ports": [{"$patch": "replace"}, {"name": "x", "port": 1}]}},
    ),
    "ports without key": ("service", STRATEGIC, {"spec": {"ports": [{"name": "x"}]}}),
    "ports bad directive": (
        "service",
        STRATEGIC,
        {"spec": {"ports": [{"port": 80, "$patch": "bogus"}]}},
    ),
    "ports no list": ("service", STRATEGIC, {"spec": {"ports": {"a": 1}}}),
    "ports ordered": (
        "service",
        STRATEGIC,
        {"spec": {"$setElementOrder/ports": [{"port": 5353}, {"port": 53}, {"port": 80}]}},
    ),
    "ports ordered with new": (
        "service",
        STRATEGIC,
        {
            "spec": {
                "$setElementOrder/ports": [{"port": 1}, {"port": 5353}, {"port": 80}],
                "ports": [{"port": 1, "name": "x"}],
            }
        },
    ),
    "ports ordered among others": (
        "service",
        STRATEGIC,
        {
            "spec": {
                "$setElementOrder/ports": [{"port": 80}, {"port": 1}, {"port": 5353}],
                "ports": [{"port": 1, "name": "x"}],
            }
        },
    ),
    "selector merges": ("service", STRATEGIC, {"spec": {"selector": {"x": "y"}}}),
    "selector replaced": (
        "service",
        STRATEGIC,
        {"spec": {"selector": {"$patch": "replace", "x": "y"}}},
    ),
    "selector deleted": ("service", STRATEGIC, {"spec": {"selector": {"$patch": "delete"}}}),
    "selector null": ("service", STRATEGIC, {"spec": {"selector": None}}),
    "finalizers add": (
        "service",
        STRATEGIC,
        {"metadata": {"finalizers": ["lab.test/c", "lab.test/a"]}},
    ),
    "finalizers delete": (
        "service",
        STRATEGIC,
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["lab.test/a"]}},
    ),
    "finalizers ordered": (
        "service",
        STRATEGIC,
        {
            "metadata": {
                "$setElementOrder/finalizers": ["lab.test/b", "lab.test/c", "lab.test/a"],
                "finalizers": ["lab.test/c"],
            }
        },
    ),
    "owners by uid": (
        "configmap",
        STRATEGIC,
        {
            "metadata": {
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u-1"},
                    {"apiVersion": "v1", "kind": "Node", "name": "m", "uid": "u-2"},
                ]
            }
        },
    ),
    "containers by name": (
        "deployment",
        STRATEGIC,
        _pod({"containers": [{"name": "web", "image": "web:2"}]}),
    ),
    "containers new": (
        "deployment",
        STRATEGIC,
        _pod({"containers": [{"name": "new", "image": "new:1"}]}),
    ),
    "containers delete": (
        "deployment",
        STRATEGIC,
        _pod({"containers": [{"name": "side", "$patch": "delete"}]}),
    ),
    "container lists": (
        "deployment",
        STRATEGIC,
        _pod(
            {
                "containers": [
                    {
                        "name": "web",
                        "args": ["-c"],
                        "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}],
                        "ports": [{"containerPort": 9090, "name": "x"}],
                        "volumeMounts": [{"mountPath": "/conf", "name": "conf"}],
                    }
                ]
            }
        ),
    ),
    "env reordered": (
        "deployment",
        STRATEGIC,
        _pod(
            {
                "containers": [
                    {
                        "name": "web",
                        "$setElementOrder/env": [{"name": "B"}, {"name": "A"}],
                        "env": [{"name": "A", "value": "0"}],
                    }
                ]
            }
        ),
    ),
    "volume retains": (
        "deployment",
        STRATEGIC,
        _pod(
            {
                "volumes": [
                    {
                        "name": "tmp",
                        "$retainKeys": ["name", "configMap"],
                        "configMap": {"name": "x"},
                    }
                ]
            }
        ),
    ),
    "tolerations replaced": ("deployment", STRATEGIC, _pod({"tolerations": [{"key": "b", "operator": "Exists"}]})),
    "aliases by address": (
        "deployment",
        STRATEGIC,
        _pod({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["b"]}, {"ip": "10.0.0.2", "hostnames": ["c"]}]}),
    ),
    "pull secrets by name": ("deployment", STRATEGIC, _pod({"imagePullSecrets": [{"name": "two"}]})),
    "strategy retains": (
        "deployment",
        STRATEGIC,
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
    ),
    "spec replicas": ("deployment", STRATEGIC, {"spec": {"replicas": 3}}),
    "data merges": ("configmap", STRATEGIC, {"data": {"a": None, "x": "9"}}),
    "data replaced": ("configmap", STRATEGIC, {"data": {"$patch": "replace", "x": "9"}}),
}  # fmt: skip
