"""The shape of the project, as numbers and lists: each rule holds, and is seen to fail once.

A rule is a function from a project's top folder to what breaks it. Every rule is tried on this
project and on a small one with its violation planted.
"""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import kdns
from kdns.plugins import ORDER, OURS

TOP = Path(__file__).parents[1]

COREDNS_ORDER = """
root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid
bufsize bind debug trace ready health pprof shed prometheus errors log dnstap local dns64 siit any
chaos loadbalance tsig rewrite autopath acl cache header dnssec tls minimal template transfer
dynupdate hosts route53 azure clouddns k8s_external kubernetes file auto secondary etcd loop forward
grpc erratic whoami on sign view nomad
"""
"""The order CoreDNS 1.15.0 asks plugins in."""

LONG_PREFACES = {
    "kdns/server/pipeline.py", "kdns/server/table.py", "kdns/zone/answers.py",
    "kdns/cluster/store.py",
}  # fmt: skip
"""Modules that owe a theory of operation."""

SECTIONS = [
    "Name", "Description", "Syntax", "Examples", "Metrics", "Ready", "Differences from CoreDNS",
]  # fmt: skip

Rule = Callable[[Path], list[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(top: Path) -> list[Path]:
    return sorted((top / "kdns").rglob("*.py"))


def parsed(top: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in modules(top):
        yield str(path.relative_to(top)), tree_of(path.read_text(encoding="utf-8"))


tree_of = cache(ast.parse)


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines_of(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


# Size and shape


def prefaces(top: Path) -> list[str]:
    """Every module opens with a preface of one to eight lines; a few may say more."""
    bad = []
    for path, tree in parsed(top):
        lines = len((ast.get_docstring(tree) or "").splitlines())
        if not lines or (lines > 8 and path not in LONG_PREFACES):
            bad.append(f"{path}: a preface of {lines} lines")
    return bad


def long_modules(top: Path) -> list[str]:
    """No module has more than 400 lines."""
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(top)}
    return [f"{path}: {size} lines" for path, size in sizes.items() if size > 400]


def long_functions(top: Path) -> list[str]:
    """No function has more than 60 lines."""
    return [
        f"{path}:{one.lineno}: {one.name} has {lines_of(one)} lines"
        for path, tree in parsed(top)
        for one in functions(tree)
        if lines_of(one) > 60
    ]


def usual_functions(top: Path) -> list[str]:
    """Half of the functions have at most 8 lines, nine in ten at most 30."""
    sizes = sorted(lines_of(one) for _, tree in parsed(top) for one in functions(tree))
    median, p90 = statistics.median(sizes), sizes[len(sizes) * 9 // 10]
    return [f"median {median}, 90 % {p90}"] if median > 8 or p90 > 30 else []


# Words


BANNED_MODULE = re.compile(r"^_?(utils?|helpers?|common|managers?|misc|data|info)$")
BANNED_FUNCTION = re.compile(r"^_*(handle|do|process)_|^_*(data|info|utils?|helpers?)$")
BANNED_CLASS = re.compile(r"(Manager|Helpers?|Utils?|Info|Data)$")
FOR_TESTS = re.compile(r"(^|_)(for_tests?|testing|mocks?|fakes?|stubs?|dummy|iterations)(_|$)")


def vocabulary(top: Path) -> list[str]:
    """Names say what a thing is: no helpers, managers, handlers of anything."""
    bad = [f"{path}: {path.stem}" for path in modules(top) if BANNED_MODULE.search(path.stem)]
    for path, tree in parsed(top):
        for node in ast.walk(tree):
            if isinstance(node, Function) and BANNED_FUNCTION.search(node.name):
                bad.append(f"{path}:{node.lineno}: {node.name}")
            if isinstance(node, ast.ClassDef) and BANNED_CLASS.search(node.name):
                bad.append(f"{path}:{node.lineno}: {node.name}")
    return bad


def parameters_for_tests(top: Path) -> list[str]:
    """No parameter exists for a test."""
    return [
        f"{path}:{arg.lineno}: {arg.arg}"
        for path, tree in parsed(top)
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for arg in (*node.posonlyargs, *node.args, *node.kwonlyargs)
        if FOR_TESTS.search(arg.arg)
    ]


CHANGING = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem",
    "remove", "setdefault", "update",
}  # fmt: skip


def module_state(top: Path) -> list[str]:
    """Nothing that a module holds is changed by its functions."""
    bad = []
    for path, tree in parsed(top):
        held = {
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in targets(node)
            if isinstance(target, ast.Name)
        }
        for function in functions(tree):
            own = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
            bad += [
                f"{path}:{node.lineno}: {name}"
                for node in ast.walk(function)
                for name in changed(node)
                if name in held - own
            ]
            bad += [
                f"{path}:{node.lineno}: global"
                for node in ast.walk(function)
                if isinstance(node, ast.Global)
            ]
    return bad


def targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def changed(node: ast.AST) -> list[str]:
    """The names whose object a piece of code changes in place."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return [node.value.id] if isinstance(node.value, ast.Name) else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        return [owner.id] if node.func.attr in CHANGING and isinstance(owner, ast.Name) else []
    return []


# Plugins and pages


def directives(top: Path) -> list[str]:
    names = (path.stem for path in (top / "kdns" / "plugins").glob("*.py"))
    return sorted(set(names) - {"__init__", "base", "endpoint", "outward", "query", "zoned"})


def plugin_classes(top: Path) -> list[str]:
    """A plugin's module holds one class of its name, and its name is in ORDER."""
    bad = []
    for name in directives(top):
        tree = tree_of((top / "kdns" / "plugins" / f"{name}.py").read_text(encoding="utf-8"))
        classes = [node.name for node in tree.body if says_name(node, name)]
        if [one.lower() for one in classes] != [name.replace("_", "")]:
            bad.append(f"{name}: {classes}")
        if name not in ORDER:
            bad.append(f"{name}: not in ORDER")
    return bad


def says_name(node: ast.stmt, name: str) -> bool:
    """True for a class with `name = "<directive>"`."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(line, ast.Assign | ast.AnnAssign)
        and [one.id for one in targets(line) if isinstance(one, ast.Name)] == ["name"]
        and isinstance(line.value, ast.Constant)
        and line.value.value == name
        for line in node.body
    )


def pages(top: Path) -> list[str]:
    """Every directive has a page of the seven sections, every page a directive."""
    folder = top / "kdns" / "plugins"
    written = {path.stem for path in folder.glob("*.md")}
    bad = [f"{name}: no page" for name in directives(top) if name not in written]
    bad += [f"{name}.md: no directive" for name in written - {*directives(top), "import"}]
    for name in sorted(written):
        text = re.sub(
            r"^(```|~~~).*?^\1$", "", (folder / f"{name}.md").read_text("utf-8"), flags=re.M | re.S
        )
        title = re.findall(r"^# (.*)$", text, re.MULTILINE)
        sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
        if title != [name] or sections != SECTIONS:
            bad.append(f"{name}.md: {title} {sections}")
    return bad


def untested_plugins(top: Path) -> list[str]:
    """Every directive has a test file that holds tests."""
    files = {name: top / "tests" / "plugins" / f"test_{name}.py" for name in directives(top)}
    return [
        f"{name}: no tests"
        for name, path in files.items()
        if not path.exists() or "def test_" not in path.read_text(encoding="utf-8")
    ]


# What leaves the workplace


MACHINE = re.compile(
    r"(?<![\w.])/(work|root|home|Users)/\w|file:///"
    r"|\b(pypi\.org|pythonhosted\.org|proxy\.golang\.org|npmjs\.org|artifactory|devpi)\b"
    r"|--(extra-)?index-url|\b(claude|anthropic|copilot|chatgpt)\b",
    re.IGNORECASE,
)


def traces_of_machines(top: Path) -> list[str]:
    """No tracked file names a machine's folders, a package index or a tool of the workplace."""
    bad = []
    for path in tracked(top):
        if path.name == Path(__file__).name or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        bad += [f"{path}: {match[0]}" for match in MACHINE.finditer(text)]
    return bad


def tracked(top: Path) -> list[Path]:
    if (top / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=top, capture_output=True, text=True, check=True
        )
        return [top / name for name in listed.stdout.split("\0") if name]
    return [path for path in top.rglob("*") if not {".venv", "__pycache__"} & set(path.parts)]


def changelog(top: Path) -> list[str]:
    """The newest release in the changelog is the version of the package."""
    newest = re.search(r"^## (\d\S*)", (top / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    version = re.search(
        r'^__version__ = "(.*)"', (top / "kdns/__init__.py").read_text("utf-8"), re.M
    )
    found = [match[1] if match else "none" for match in (newest, version)]
    return [] if found[0] == found[1] else [f"changelog {found[0]}, package {found[1]}"]


RULES: dict[Rule, dict[str, str]] = {
    prefaces: {"kdns/bare.py": "X = 1\n"},
    long_modules: {"kdns/long.py": '"""Long."""\n' + "X = 1\n" * 400},
    long_functions: {"kdns/a.py": '"""A."""\ndef f():\n' + "    print()\n" * 60},
    usual_functions: {"kdns/a.py": '"""A."""\ndef f():\n' + "    print()\n" * 8},
    vocabulary: {"kdns/a.py": '"""A."""\ndef _handle_query(): ...\n'},
    parameters_for_tests: {"kdns/a.py": '"""A."""\ndef f(*, for_tests=False): ...\n'},
    module_state: {"kdns/a.py": '"""A."""\nSEEN = {}\ndef f(k):\n    SEEN[k] = 1\n'},
    plugin_classes: {"kdns/plugins/hosts.py": '"""Hosts."""\nclass Other:\n    name = "hosts"\n'},
    pages: {"kdns/plugins/hosts.py": '"""Hosts."""\n'},
    untested_plugins: {"kdns/plugins/hosts.py": '"""Hosts."""\n'},
    traces_of_machines: {"README.md": "see " + "/" + "home/me\n"},
    changelog: {"CHANGELOG.md": "## 9.9.9\n", "kdns/__init__.py": '__version__ = "0.1.0"\n'},
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule) -> None:
    assert not rule(TOP), rule.__doc__


@pytest.mark.parametrize(
    ("rule", "files"),
    [
        *RULES.items(),
        (prefaces, {"kdns/a.py": '"""' + "Line.\n" * 9 + '"""\n'}),
        (vocabulary, {"kdns/utils.py": '"""A."""\n'}),
        (vocabulary, {"kdns/a.py": '"""A."""\nclass ZoneManager: ...\n'}),
        (parameters_for_tests, {"kdns/a.py": '"""A."""\nx = lambda _iterations: 1\n'}),
        (module_state, {"kdns/a.py": '"""A."""\nN = 0\ndef f():\n    global N\n'}),
        (module_state, {"kdns/a.py": '"""A."""\nN: list = []\ndef f():\n    N.append(1)\n'}),
        (pages, {"kdns/plugins/nothing.md": "# nothing\n"}),
        (
            pages,
            {
                "kdns/plugins/hosts.py": "",
                "kdns/plugins/hosts.md": "# hosts\n" + "".join(f"## {s}\n" for s in SECTIONS[1:]),
            },
        ),
        (plugin_classes, {"kdns/plugins/mine.py": 'class Mine:\n    name = "mine"\n'}),
        (untested_plugins, {"kdns/plugins/a.py": "", "tests/plugins/test_a.py": "X = 1\n"}),
        (traces_of_machines, {"constraints.txt": "--" + "index-url https://x\n"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_rule_notices_its_violation(rule: Rule, files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert rule(tmp_path), rule.__doc__


# The order of plugins


def test_plugins_are_asked_in_the_order_of_coredns() -> None:
    assert [name for name in ORDER if name not in OURS] == COREDNS_ORDER.split()
    assert set(ORDER) >= OURS


def test_the_package_says_its_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", kdns.__version__)


# Layers


PLANTED = {
    "imports point down only": ("kdns/wire/planted.py", "import kdns.server.router\n"),
    "plugins know only plugins.base and what is below": (
        "kdns/plugins/planted.py",
        "import kdns.plugins.whoami\n",
    ),
    "sources do not know each other": (
        "kdns/cluster/sources/planted.py",
        "import kdns.cluster.sources.manifests\n",
    ),
    "the conformance suite knows only client and wire: it tests any server": (
        "kdns/conformance/planted.py",
        "import kdns.corefile.tree\n",
    ),
    "wire, zone, corefile, objects, store and endpoints have no I/O, clock or chance": (
        "kdns/zone/planted.py",
        "import socket\n",
    ),
}


def contracts() -> set[str]:
    settings = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
    return {one["name"] for one in settings["tool"]["importlinter"]["contracts"]}


def lint(top: Path) -> set[str]:
    """The contracts that import-linter finds broken."""
    program = Path(sys.executable).with_name("lint-imports")
    said = subprocess.run(
        [program, "--no-cache"], cwd=top, capture_output=True, text=True, check=False
    )
    verdicts = re.findall(r"^(.*\S) (KEPT|BROKEN)\b", said.stdout, re.MULTILINE)
    assert {name for name, _ in verdicts} == contracts(), said.stdout + said.stderr
    return {name for name, verdict in verdicts if verdict == "BROKEN"}


def test_every_import_contract_holds() -> None:
    assert lint(TOP) == set()


def test_every_import_contract_notices_its_violation(tmp_path: Path) -> None:
    shutil.copytree(TOP / "kdns", tmp_path / "kdns", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOP / "pyproject.toml", tmp_path)
    for path, text in PLANTED.values():
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert set(PLANTED) == contracts(), "a contract without a planted violation"
    assert lint(tmp_path) == contracts()
