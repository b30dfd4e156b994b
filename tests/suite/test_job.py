"""The Job of config/, and the objects of a run, as an API server takes them."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdns.cli import conformance
from kdns.conformance import wanted
from kdns.conformance.objects import read
from kdns.conformance.wanted import Place

CONFIG = Path(__file__).parents[2] / "config"


def documents(name: str) -> dict[str, Any]:
    return {one["kind"]: one for one in yaml.safe_load_all((CONFIG / name).read_text())}


def test_the_job_runs_the_command_as_its_account_on_the_image_of_the_others() -> None:
    job, base = documents("conformance-job.yaml"), documents("base/deployment.yaml")
    pod = job["Job"]["spec"]["template"]["spec"]
    [container], [server] = (
        pod["containers"],
        base["Deployment"]["spec"]["template"]["spec"]["containers"],
    )
    assert container["image"] == server["image"]
    word, *words = container["args"]
    options = conformance.parser().parse_args(words)
    assert (word, options.report, options.server) == (
        "conformance",
        "junit",
        "kube-dns.kube-system",
    )
    account = {key: job["ServiceAccount"]["metadata"][key] for key in ("name", "namespace")}
    assert pod["serviceAccountName"] == account["name"]
    assert job["ClusterRoleBinding"]["subjects"] == [{"kind": "ServiceAccount", **account}]
    assert job["ClusterRoleBinding"]["roleRef"]["name"] == job["ClusterRole"]["metadata"]["name"]
    assert job["Job"]["metadata"]["namespace"] == account["namespace"]
    context = {**pod["securityContext"], **container["securityContext"]}
    assert context["readOnlyRootFilesystem"]
    assert context["runAsNonRoot"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert job["Job"]["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize("part", [0, 255, 256, 511])
def test_addresses_are_written_as_the_api_wants_them(part: int) -> None:
    place = Place("run", part, "cluster.local.")
    found = read(wanted.bodies(place))
    addresses = [one.address for service in found.services for one in service.endpoints]
    assert len(addresses) > 2 * wanted.BIG
    assert all(str(ip_address(address)) == address for address in addresses)
    assert {one.namespace for one in found.services} == {"run"}


def test_two_runs_have_addresses_of_their_own() -> None:
    one, other = (Place("run", part, ".") for part in (7, 8))
    assert not {one.v4(n) for n in range(256)} & {other.v4(n) for n in range(256)}
    assert one.v6(1) != other.v6(1)
