"""What is below an object: its scale, a ServiceAccount's tokens, a Pod's eviction and log.

`status` and `finalize` are not here: they are writes of the object itself.
"""

from kdns.lab import bodies, errors, patch
from kdns.lab.calls import Call
from kdns.lab.errors import Cause, Obj
from kdns.lab.resources import PODS, SERVICEACCOUNTS, SERVICES
from kdns.lab.storage import ANYHOW, Deletion, Storage, timestamp
from kdns.lab.tokens import ISSUER, Tokens

_LEAST_S = 600
_MOST_S = 1 << 32
_HOUR_S = 3600
_NO_PROXY = (
    "the lab's API passes no requests on: forward a port (kubectl port-forward), connect from "
    "within a pod (kubectl exec POD -- curl http://SERVICE), or make the Service a NodePort"
)
_NOT_PLAYED = "nothing listens in the pods of this lab: start it with --play"


def reply(call: Call, storage: Storage, tokens: Tokens) -> tuple[int, Obj]:
    """Code and object of a call to a subresource; raises 404 and 405 where there is none."""
    aim = call.target
    if aim.part == "scale" and aim.resource.has_scale:
        return _scaled(call, storage)
    if aim.part == "token" and aim.resource is SERVICEACCOUNTS:
        _only(call, "create")
        return 201, _token(call, storage, tokens)
    if aim.part == "eviction" and aim.resource is PODS:
        _only(call, "create")
        return 201, _evict(call, storage)
    if aim.part == "log" and aim.resource is PODS:
        storage.get(PODS, aim.namespace, aim.name)
        message = f'pod "{aim.name}" is played by the lab: nothing runs in it, so there is no log'
        raise errors.ApiError(404, "NotFound", message)
    if aim.part == "portforward" and aim.resource is PODS:
        storage.get(PODS, aim.namespace, aim.name)
        raise errors.bad_request(_NOT_PLAYED)
    if aim.part == "proxy" and aim.resource in {PODS, SERVICES}:
        storage.get(aim.resource, aim.namespace, aim.name.partition(":")[0])
        raise errors.bad_request(_NO_PROXY)
    raise errors.no_such_path()


def _only(call: Call, verb: str) -> None:
    if call.verb != verb:
        raise errors.not_allowed()


def _scaled(call: Call, storage: Storage) -> tuple[int, Obj]:
    aim = call.target
    old = storage.get(aim.resource, aim.namespace, aim.name)
    if call.verb == "get":
        return 200, _scale(old)
    if call.verb == "update":
        wanted = bodies.part(call, "autoscaling.v1.Scale")
    elif call.verb == "patch":
        change = bodies.patch_of(call)
        wanted = patch.apply(call.media, _scale(old), change, None)
        bodies.fitted(wanted, "autoscaling.v1.Scale")
    else:
        raise errors.not_allowed()
    replicas = (wanted.get("spec") or {}).get("replicas") or 0
    if replicas < 0:
        words = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("spec.replicas", "FieldValueInvalid", words)
        raise errors.invalid("Scale", aim.name, [cause], "autoscaling")
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    metadata = old["metadata"] | ({"resourceVersion": version} if version else {})
    new = old | {"metadata": metadata, "spec": old["spec"] | {"replicas": replicas}}
    is_dry = call.query.get("dryRun") == "All"
    return 200, _scale(storage.update(aim.resource, aim.namespace, aim.name, new, is_dry=is_dry))


def _scale(obj: Obj) -> Obj:
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Obj = {"replicas": obj.get("status", {}).get("replicas", 0)}
    replicas = obj["spec"].get("replicas", 0)
    selector = _selector(obj["spec"].get("selector") or {})
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: obj["metadata"][key] for key in keys},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector(selector: Obj) -> str:
    terms = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for one in selector.get("matchExpressions", ()):
        key, operator = one["key"], one["operator"]
        values = ",".join(one.get("values", ()))
        shown = {"Exists": key, "DoesNotExist": f"!{key}"}
        terms.append(shown.get(operator, f"{key} {operator.lower()} ({values})"))
    return ",".join(sorted(terms))


def _token(call: Call, storage: Storage, tokens: Tokens) -> Obj:
    aim = call.target
    spec = bodies.part(call, "authentication.v1.TokenRequest").get("spec") or {}
    seconds = spec.get("expirationSeconds") or _HOUR_S
    if not _LEAST_S <= seconds <= _MOST_S:
        bound = "less than 10 minutes" if seconds < _LEAST_S else "larger than 2^32 seconds"
        words = f"Invalid value: {seconds}: may not specify a duration {bound}"
        cause = Cause("spec.expirationSeconds", "FieldValueInvalid", words)
        raise errors.invalid("TokenRequest", "", [cause], "authentication.k8s.io")
    token = tokens.issue(
        aim.namespace,
        aim.name,
        seconds=seconds,
        pod=_bound_pod(spec.get("boundObjectRef"), call, storage),
        audiences=spec.get("audiences") or (),
    )
    now = storage.now()
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": aim.name,
            "namespace": aim.namespace,
            "creationTimestamp": timestamp(now),
        },
        "spec": {
            "audiences": spec.get("audiences") or [ISSUER],
            "expirationSeconds": seconds,
            "boundObjectRef": spec.get("boundObjectRef"),
        },
        "status": {"token": token, "expirationTimestamp": timestamp(now + seconds)},
    }


def _bound_pod(reference: Obj | None, call: Call, storage: Storage) -> Obj | None:
    """The pod that a token is to end with."""
    if not reference:
        return None
    kind, name, aim = reference.get("kind", ""), reference.get("name", ""), call.target
    if kind != "Pod":
        raise errors.bad_request(f"cannot bind token to object of kind {kind}: the lab knows Pod")
    pod = storage.get(PODS, aim.namespace, name)
    if reference.get("uid") not in {None, "", pod["metadata"]["uid"]}:
        why = "the UID in the bound object reference does not match the UID in record"
        raise errors.conflict(PODS.plural, name, why=why)
    if (pod["spec"].get("serviceAccountName") or "default") != aim.name:
        raise errors.bad_request(
            f'cannot bind token for serviceaccount "{aim.name}" to pod running with different '
            "serviceaccount name."
        )
    return pod


def _evict(call: Call, storage: Storage) -> Obj:
    """A delete by another name; disruption budgets are stored but hold nothing up here."""
    aim = call.target
    options = bodies.part(call, "policy.v1.Eviction").get("deleteOptions") or {}
    grace = options.get("gracePeriodSeconds")
    how = ANYHOW if grace is None else Deletion(grace_s=grace)
    storage.delete(PODS, aim.namespace, aim.name, how)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
