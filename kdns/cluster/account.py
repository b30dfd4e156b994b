"""What a cluster holds and where it has it from, in a line for people."""

from kdns.cluster.cluster import Cluster, Origin
from kdns.cluster.objects import Slice


def account(cluster: Cluster) -> str:
    """`42 services, 180 endpoints (3 not ready) in 7 namespaces, from https://…`."""
    store = cluster.store
    where = source(cluster.origin)
    if not store.has_synced:
        why = f": {cluster.failure}" if cluster.failure else ""
        return f"nothing yet, waiting for {where}{why}; until then names are SERVFAIL"
    slices = [one for some in store.objects() for one in some if isinstance(one, Slice)]
    endpoints = sum(one.count for one in slices)
    unready = sum(len(one.unready) for one in slices)
    held = f"{endpoints} endpoints" + (f" ({unready} not ready)" if unready else "")
    spaces = {one.partition("/")[0] for one in store.services}
    said = f"{len(store.services)} services, {held} in {len(spaces)} namespaces, from {where}"
    if not cluster.is_restored:
        return said
    why = cluster.failure or "it does not answer"
    return f"{said}, as the snapshot {cluster.origin.snapshot} has them: {why}"


def source(origin: Origin) -> str:
    """Where a cluster is told of."""
    access = origin.access
    if origin.manifests:
        return " ".join(origin.manifests)
    if access.kubeconfig:
        context = f" (context {access.context})" if access.context else ""
        return f"the API server of {access.kubeconfig}{context}"
    return access.endpoint or "the API server of this cluster"
