"""The spec of pods, in a Pod or in a template: defaults and checks."""

from collections.abc import Iterable, Iterator

from kdns.lab import checks
from kdns.lab.errors import Cause, Obj

DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
RESTARTS = ("Always", "OnFailure", "Never")
PULLS = ("Always", "IfNotPresent", "Never")
_LISTS = ("initContainers", "containers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def default(spec: Obj) -> None:
    """What stands in `-o yaml` though nobody wrote it."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for container in _containers(spec):
        _default_container(container, is_on_host=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or []:
        _default_volume(volume)


def _containers(spec: Obj) -> Iterator[Obj]:
    for name in _LISTS:
        yield from spec.get(name) or []


def _default_container(container: Obj, *, is_on_host: bool) -> None:
    image = container.get("image") or ""
    is_latest = image.endswith(":latest") or (
        ":" not in image.rpartition("/")[2] and "@" not in image
    )
    container.setdefault("imagePullPolicy", "Always" if is_latest else "IfNotPresent")
    container.setdefault("resources", {})
    limits = container["resources"].get("limits")
    if limits:
        container["resources"]["requests"] = limits | container["resources"].get("requests", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if is_on_host and "containerPort" in port:
            port.setdefault("hostPort", port["containerPort"])
    for variable in container.get("env") or []:
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")
    for name in _PROBES:
        if name in container:
            _default_probe(container[name])


def _default_probe(probe: Obj) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("path", "/")
        probe["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _default_volume(volume: Obj) -> None:
    if volume.keys() == {"name"}:
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if name in volume:
            volume[name].setdefault("defaultMode", 420)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    sources = list((volume.get("projected") or {}).get("sources") or [])
    for source in sources:
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    for holder in [volume, *sources]:
        for item in (holder.get("downwardAPI") or {}).get("items") or []:
            if "fieldRef" in item:
                item["fieldRef"].setdefault("apiVersion", "v1")


def check(spec: Obj, at: str, claims: Iterable[str] = ()) -> Iterable[Cause]:
    """What is wrong with a spec; `at` is its path, `claims` its volumes from elsewhere."""
    volumes = [volume.get("name") or "" for volume in spec.get("volumes") or []]
    yield from _check_volumes(volumes, f"{at}.volumes")
    volumes += claims
    if not spec.get("containers"):
        yield checks.required(f"{at}.containers")
    names: set[str] = set()
    for listed in ("containers", "initContainers"):
        for place, container in enumerate(spec.get(listed) or []):
            yield from _check_container(container, f"{at}.{listed}[{place}]", names, volumes)
    yield from checks.one_of(f"{at}.restartPolicy", spec["restartPolicy"], RESTARTS)
    yield from _check_names(spec, at)
    grace_s = spec.get("terminationGracePeriodSeconds")
    yield from checks.least(f"{at}.terminationGracePeriodSeconds", grace_s)


def _check_volumes(names: list[str], at: str) -> Iterable[Cause]:
    for place, name in enumerate(names):
        field = f"{at}[{place}].name"
        if not name:
            yield checks.required(field)
            continue
        yield from checks.text_of(field, name, checks.label)
        if name in names[:place]:
            yield checks.duplicate(field, name)


def _check_names(spec: Obj, at: str) -> Iterable[Cause]:
    """How it is called, and how it finds others."""
    yield from checks.one_of(f"{at}.dnsPolicy", spec["dnsPolicy"], DNS)
    if spec["dnsPolicy"] == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        why = "must provide `dnsConfig` when `dnsPolicy` is None"
        yield checks.required(f"{at}.dnsConfig", why)
    forms = {
        "hostname": checks.undotted,
        "subdomain": checks.label,
        "serviceAccountName": checks.subdomain,
    }
    for name, form in forms.items():
        if spec.get(name):
            yield from checks.text_of(f"{at}.{name}", spec[name], form)
    for place, alias in enumerate(spec.get("hostAliases") or []):
        if checks.address(alias.get("ip")) is None:
            field = f"{at}.hostAliases[{place}].ip"
            yield checks.invalid(field, alias.get("ip", ""), checks.NO_ADDRESS)


def _check_container(
    container: Obj, at: str, names: set[str], volumes: list[str]
) -> Iterable[Cause]:
    name = container.get("name") or ""
    if not name:
        yield checks.required(f"{at}.name")
    else:
        yield from checks.text_of(f"{at}.name", name, checks.label)
        if name in names:
            yield checks.duplicate(f"{at}.name", name)
        names.add(name)
    image = container.get("image") or ""
    if not image:
        yield checks.required(f"{at}.image")
    elif image != image.strip():
        why = "must not have leading or trailing whitespace"
        yield checks.invalid(f"{at}.image", image, why)
    yield from _check_ports(container.get("ports") or [], at)
    for place, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            yield checks.required(f"{at}.env[{place}].name")
    yield from _check_mounts(container.get("volumeMounts") or [], f"{at}.volumeMounts", volumes)
    yield from checks.one_of(f"{at}.imagePullPolicy", container["imagePullPolicy"], PULLS)


def _check_mounts(mounts: list[Obj], at: str, volumes: list[str]) -> Iterable[Cause]:
    for place, mount in enumerate(mounts):
        field = f"{at}[{place}]"
        if not mount.get("name"):
            yield checks.required(f"{field}.name")
        elif mount["name"] not in volumes:
            yield checks.missing(f"{field}.name", mount["name"])
        if not mount.get("mountPath"):
            yield checks.required(f"{field}.mountPath")


def _check_ports(ports: list[Obj], at: str) -> Iterable[Cause]:
    names: set[str] = set()
    for place, port in enumerate(ports):
        field, name = f"{at}.ports[{place}]", port.get("name") or ""
        if name:
            wrong = checks.text_of(f"{field}.name", name, checks.port_name)
            yield from wrong
            if name in names and not wrong:
                yield checks.duplicate(f"{field}.name", name)
            names.add(name)
        if not port.get("containerPort"):
            yield checks.required(f"{field}.containerPort")
        else:
            yield from checks.port(f"{field}.containerPort", port["containerPort"])
        if port.get("hostPort"):
            yield from checks.port(f"{field}.hostPort", port["hostPort"])
        yield from checks.one_of(f"{field}.protocol", port["protocol"], checks.PROTOCOLS)
