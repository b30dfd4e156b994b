"""RBAC as users meet it: kdns with its own role, can-i, impersonation, default roles, joined roles."""

import asyncio
import json
import shutil
from pathlib import Path
from random import randrange
from time import thread_time
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from kdns.lab import manifests
from kdns.lab.controllers.desk import Desk
from kdns.lab.errors import Obj
from kdns.lab.lab import Lab
from kdns.lab.resources import (
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    RESOURCES,
    ROLEBINDINGS,
    SERVICEACCOUNTS,
    SERVICES,
)
from kdns.lab.rights.rbac import Rights
from kdns.lab.rights.rules import RBAC, Ask
from kdns.lab.stage import ADMIN_ONLY
from kdns.lab.tokens import ANYBODY, User
from tests.lab.rights.people import account, asking, bind, two
from tests.lab.serving import MAPS, served
from tests.serving import Serving

ROLE = Path(__file__).parents[3] / "config" / "base" / "rbac.yaml"
COREFILE = """.:0 {{
    bind 127.0.0.1
    kubernetes cluster.local {{
        kubeconfig {config}
        pods verified
    }}
}}
"""
POD: Obj = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
KUBECTL = shutil.which("kubectl")


async def test_the_role_in_config_is_all_that_kdns_needs(tmp_path: Path) -> None:
    async with Lab() as lab:
        manifests.apply(lab.storage, manifests.read([ROLE]), Desk(lab.storage, randrange))
        token = lab.tokens.issue("kube-system", "coredns", seconds=3600)
        config = lab.kubeconfig(tmp_path / "config", token=token)
        spec = {"clusterIP": "10.96.7.7", "ports": [{"port": 80}]}
        lab.storage.create(SERVICES, "default", {"metadata": {"name": "web"}, "spec": spec})
        async with (
            asyncio.timeout(40),
            Serving(COREFILE.format(config=config), tmp_path) as serving,
        ):
            query = dns.message.make_query("web.default.svc.cluster.local.", "A")
            while "10.96.7.7" not in str(
                await dns.asyncquery.udp(query, "127.0.0.1", 2, serving.port())
            ):
                await asyncio.sleep(0.02)
        async with asking(lab, token) as dns_server:
            assert (await dns_server.ask("GET", "/api/v1/secrets"))[0] == 403


@pytest.mark.parametrize("part", ["exec", "attach", "portforward"])
async def test_commands_in_pods_are_for_the_admin_however_much_others_may(part: str) -> None:
    async with two(has_controllers=False) as (admin, bot):
        await admin.ask("POST", "/api/v1/namespaces/default/pods", POD)
        path = f"/api/v1/namespaces/default/pods/p/{part}?command=id"
        for method in ("GET", "POST"):
            code, status = await bot.ask(method, path, b"" if method == "POST" else None)
            assert (code, ADMIN_ONLY in status["message"]) == (403, True)
            lord = {"Impersonate_User": "root", "Impersonate_Group": "system:masters"}
            assert (await admin.ask(method, path, **lord))[0] == 403
            assert (await admin.ask(method, path))[0] != 403
    async with served(is_open=True) as api:
        code, _ = await api.ask("GET", path, Authorization="")
        assert code == 403


async def test_the_admin_speaks_for_others_and_nobody_else_does() -> None:
    async with two() as (admin, bot):
        account(admin.lab, "web")
        web = "system:serviceaccount:default:web"
        assert (await admin.ask("GET", MAPS, Impersonate_User=web))[0] == 403
        bind(admin.lab, "web", "view", inside="default")
        assert (await admin.ask("GET", MAPS, Impersonate_User=web))[0] == 200
        who = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        _, review = await admin.ask("POST", who, {}, Impersonate_User=web)
        assert review["status"]["userInfo"] == {
            "username": web,
            "groups": [
                "system:serviceaccounts",
                "system:serviceaccounts:default",
                "system:authenticated",
            ],
        }
        assert (await bot.ask("GET", MAPS, Impersonate_User=web))[0] == 403
        assert (await admin.ask("GET", MAPS, Impersonate_Group="x"))[0] == 400
        made = await admin.ask(
            "POST", "/api/v1/namespaces/default/pods", POD, Impersonate_User="jane",
            Impersonate_Group="system:masters",
        )  # fmt: skip
        assert made[1]["metadata"]["annotations"] == {"lab.kdns.io/written-by": "jane"}


async def test_view_edit_and_admin_differ_as_they_do_everywhere() -> None:
    async with Lab() as lab:
        rights = Rights(lab.storage)
        for name in ("view", "edit", "admin"):
            account(lab, name, role=name, inside="default")

        def may(who: str, verb: str, resource: str, group: str = "") -> bool:
            user = User(f"system:serviceaccount:default:{who}")
            return rights.allows(user, Ask(verb, group, resource, "default"))

        assert [may(who, "list", "pods") for who in ("view", "edit", "admin")] == [True] * 3
        assert [may(who, "get", "secrets") for who in ("view", "edit", "admin")] == [
            False, True, True,
        ]  # fmt: skip
        assert [may(who, "delete", "pods") for who in ("view", "edit", "admin")] == [
            False, True, True,
        ]  # fmt: skip
        assert [may(who, "create", "rolebindings", RBAC) for who in ("view", "edit", "admin")] == [
            False, False, True,
        ]  # fmt: skip
        assert not may("admin", "list", "nodes")


async def test_default_roles_name_what_the_lab_has() -> None:
    known = {(one.group, one.plural) for one in RESOURCES} | {
        ("authorization.k8s.io", f"{kind}subjectaccessreviews") for kind in ("self", "local")
    }
    known |= {("authorization.k8s.io", "selfsubjectrulesreviews")}
    known |= {("authentication.k8s.io", "selfsubjectreviews"), ("*", "*")}
    async with Lab() as lab:
        for role in lab.storage.list(CLUSTERROLES):
            assert role["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
            for rule in role["rules"]:
                named = {
                    (group, one.partition("/")[0])
                    for group in rule.get("apiGroups", ())
                    for one in rule["resources"]
                }
                assert named <= known, role["metadata"]["name"]


async def test_a_role_of_a_users_own_is_joined_and_follows_its_parts() -> None:
    async with two() as (admin, _):
        storage = admin.lab.storage
        part: Obj = {
            "metadata": {"name": "part", "labels": {"joins": "mine"}},
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
        }
        selectors = [{"matchLabels": {"joins": "mine"}}]
        mine = {"metadata": {"name": "mine"}, "rules": [], "aggregationRule": {
            "clusterRoleSelectors": selectors}}  # fmt: skip
        storage.create(CLUSTERROLES, "", mine)
        storage.create(CLUSTERROLES, "", part)
        async with asyncio.timeout(30):
            while storage.get(CLUSTERROLES, "", "mine")["rules"] != part["rules"]:
                await asyncio.sleep(0.01)
            storage.delete(CLUSTERROLES, "", "part")
            while storage.get(CLUSTERROLES, "", "mine")["rules"]:
                await asyncio.sleep(0.01)


async def test_what_is_taken_away_is_gone_at_once_also_by_a_restore() -> None:
    async with two() as (admin, bot):
        lab = admin.lab
        before = lab.snapshot()
        binding = lab.storage.get(CLUSTERROLEBINDINGS, "", "bot-cluster-admin")
        assert (await bot.ask("GET", MAPS))[0] == 200
        lab.storage.update(CLUSTERROLEBINDINGS, "", "bot-cluster-admin", binding | {"subjects": []})
        assert (await bot.ask("GET", MAPS))[0] == 403
        await lab.restore(before)
        assert (await bot.ask("GET", MAPS))[0] == 200
        lab.storage.delete(CLUSTERROLES, "", "cluster-admin")
        code, status = await bot.ask("GET", MAPS)
        assert (code, 'clusterrole.rbac.authorization.k8s.io "cluster-admin" not found' in
                status["message"]) == (403, True)  # fmt: skip


async def test_decisions_stay_cheap_among_thousands_of_bindings() -> None:
    async with Lab() as lab:
        rights = Rights(lab.storage)
        for number in range(3000):
            subject = {"kind": "User", "name": f"u{number}"}
            lab.storage.create(ROLEBINDINGS, "default", {
                "metadata": {"name": f"b{number}"}, "subjects": [subject],
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
            })  # fmt: skip
        ask = Ask("list", "", "pods", "default")
        assert rights.allows(User("u7"), ask)
        began = thread_time()
        for number in range(1000):
            assert rights.allows(User(f"u{number}"), ask)
        assert thread_time() - began < 1.0


async def test_readers_of_an_open_lab_read_and_no_more() -> None:
    async with served(is_open=True) as api:
        rights = Rights(api.lab.storage)
        assert rights.allows(ANYBODY, Ask("list", "", "pods"))
        assert not rights.allows(ANYBODY, Ask("delete", "", "pods"))
        for path in ("/version", "/apis", MAPS):
            assert (await api.ask("GET", path, Authorization=""))[0] == 200
        code, status = await api.ask("POST", MAPS, {}, Authorization="")
        assert (code, 'User "system:anonymous" cannot create' in status["message"]) == (403, True)


async def test_a_token_of_a_pod_dies_with_it() -> None:
    async with two(has_controllers=False) as (admin, _):
        lab = admin.lab
        account(lab, "web", role="view")
        pod: dict[str, Any] = POD | {"spec": POD["spec"] | {"serviceAccountName": "web"}}
        _, made = await admin.ask("POST", "/api/v1/namespaces/default/pods", pod)
        path = "/api/v1/namespaces/default/serviceaccounts/{}/token"
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
        wish = {"spec": {"boundObjectRef": bound}}
        code, request = await admin.ask("POST", path.format("web"), wish)
        assert (code, request["spec"]["boundObjectRef"]) == (201, bound)
        token = request["status"]["token"]
        assert (await admin.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 200
        other = bound | {"uid": "other"}
        refused = await admin.ask("POST", path.format("web"), {"spec": {"boundObjectRef": other}})
        assert refused[0] == 409
        assert (await admin.ask("POST", path.format("bot"), wish))[0] == 400
        await admin.ask("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0")
        assert (await admin.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 401
        await admin.ask("POST", "/api/v1/namespaces/default/pods", pod)  # of the same name
        assert (await admin.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 401


async def test_a_token_for_another_audience_is_not_for_the_api() -> None:
    async with two(has_controllers=False) as (admin, _):
        admin.lab.storage.create(SERVICEACCOUNTS, "default", {"metadata": {"name": "web"}})
        path = "/api/v1/namespaces/default/serviceaccounts/web/token"
        _, made = await admin.ask("POST", path, {"spec": {"audiences": ["vault"]}})
        token = made["status"]["token"]
        assert (await admin.ask("GET", MAPS, Authorization=f"Bearer {token}"))[0] == 401
        reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
        spec: dict[str, Any] = {"token": token}
        _, review = await admin.ask("POST", reviews, {"spec": spec})
        assert review["status"] == {"user": {}, "error": "invalid bearer token"}
        _, review = await admin.ask("POST", reviews, {"spec": spec | {"audiences": ["vault", "x"]}})
        assert review["status"]["authenticated"]
        assert review["status"]["audiences"] == ["vault"]
        assert review["status"]["user"]["username"] == "system:serviceaccount:default:web"


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
async def test_kubectl_says_what_somebody_can_do(tmp_path: Path) -> None:
    async with Lab() as lab:
        token = account(lab, "web", role="view", inside="default")

        async def run(config: Path, command: str) -> tuple[int, str]:
            words = [KUBECTL or "", f"--kubeconfig={config}", f"--cache-dir={tmp_path}"]
            child = await asyncio.create_subprocess_exec(
                *words, *command.split(),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            out = (await asyncio.wait_for(child.communicate(), 20))[0].decode()
            return child.returncode or 0, out

        own = lab.kubeconfig(tmp_path / "web", token=token)
        assert await run(own, "auth can-i list pods") == (0, "yes\n")
        assert await run(own, "auth can-i delete pods") == (1, "no\n")
        assert await run(own, "auth can-i list pods -n kube-system") == (1, "no\n")
        code, out = await run(own, "auth can-i --list")
        assert (code, "endpointslices.discovery.k8s.io" in out, "[/api/*]" in out) == (
            0,
            True,
            True,
        )
        code, out = await run(own, "get secrets")
        assert (code, 'cannot list resource "secrets" in API group "" in the namespace "default"' in
                out) == (1, True)  # fmt: skip
        admin = lab.kubeconfig(tmp_path / "admin")
        web = "--as=system:serviceaccount:default:web"
        assert await run(admin, f"auth can-i get secrets {web}") == (1, "no\n")
        assert await run(admin, f"get pods {web}") == (
            0,
            "No resources found in default namespace.\n",
        )
        assert await run(admin, "auth can-i delete services") == (0, "yes\n")
        code, out = await run(admin, "get clusterroles view -o json")
        assert json.loads(out)["rules"]
