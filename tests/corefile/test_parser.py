import posixpath

import pytest

from kdns.corefile import imports, parser
from kdns.corefile.parser import parse
from kdns.corefile.tree import ConfigError, Directive
from tests.corefile.corpus import (
    ACCEPTED,
    CUSTOM,
    K3S,
    KUBEADM,
    NODE_LOCAL,
    REJECTED,
    STRICTER,
    Case,
    globber,
    load,
    reader,
)


def shown(directive: Directive) -> str:
    """A directive in one line: name, arguments, and its options between braces."""
    words = " ".join([directive.name.text, *(repr(word.text) for word in directive.args)])
    if directive.body is None:
        return words
    return words + " {" + "; ".join(map(shown, directive.body)) + "}"


def tree(text, files=(), environ=(), file="Corefile"):
    files = dict(files)
    blocks = parse(
        text, file, environ=dict(environ), read=reader(files), glob=globber(files), warn=str
    )
    return [
        " ".join(key.text for key in block.keys) + ": " + ", ".join(map(shown, block.directives))
        for block in blocks
    ]


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_coredns_takes_is_taken(name):
    assert list(map(str, load(ACCEPTED[name]).errors)) == []


@pytest.mark.parametrize("name", {**REJECTED, **STRICTER})
def test_a_mistake_is_told_with_its_place(name):
    case, message = {**REJECTED, **STRICTER}[name]
    found = load(case).errors
    where = message if message.startswith("f:") else f"Corefile:{message}"
    assert [str(error)[: len(where)] for error in found] == [where]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("\n # x\n", [], id="only a comment"),
        pytest.param("import *.x", [], id="only an import of nothing"),
        pytest.param("a b, c\nd", ["a b c: d"], id="keys end with the line"),
        pytest.param("a {\n x 1 2\n y\n}", ["a: x '1' '2', y"], id="arguments end with the line"),
        pytest.param("a {\n x { }\n}", ["a: x {}"], id="empty body"),
        pytest.param("a {\n x 1 {\n y 2\n z\n }\n}", ["a: x '1' {y '2'; z}"], id="body"),
        pytest.param("a {\n x { y 1\n z\n }\n}", ["a: x {y '1'; z}"], id="option beside brace"),
        pytest.param("a {\n x {\n y {\n z\n }\n }\n}", ["a: x {y {z}}"], id="body in a body"),
        pytest.param("a {\n x { y }\n z\n}", ["a: x {y '}'}, z"], id="brace taken as argument"),
        pytest.param('a {\n x "1 2\n3" 4\n}', ["a: x '1 2\\n3' '4'"], id="line goes on"),
        pytest.param("a {\n} b {\n}", ["a: ", "b: "], id="two blocks on a line"),
        pytest.param("{\n x\n}", [".: x"], id="no key is the root"),
        pytest.param('""\nx', [".: x"], id="an empty key is the root"),
        pytest.param("a {\n{$B}\n}", ["a: }"], id="a brace from the environment is a word"),
        pytest.param("a {\nx {$O}\n}", ["a: x {}"], id="but not to the plugin"),
    ],
)
def test_the_tree_is_as_coredns_hands_it_to_plugins(text, expected):
    assert tree(text, environ={"B": "}", "O": "{"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(s) {\n x 1\n y\n}\na {\n z\n import s\n import s\n w\n}", "z, x '1', y, x '1', y, w"),
        ("a {\n x {\n import f\n z\n }\n}", "x {f '1'; g; z}"),
        ("a {\n x {\n y {\n import f\n }\n }\n}", "x {y {f '1'; g}}"),
        ("a {\n import f\n}", "f '1', g"),
        ("a {\n import d/*\n}", "first, second"),
    ],
    ids=["snippet twice", "file in a body", "file in a body of a body", "file", "glob in order"],
)
def test_imports_stand_where_import_stood(text, expected):
    files = {"f": "f 1 # x\ng", "d/b": "second", "d/a": "first"}
    assert tree(text, files) == ["a: " + expected]


def test_names_of_files_are_relative_to_the_importing_file():
    files = {"/etc/d/one": "import two", "/etc/d/two": "import /two", "/two": "x"}
    assert tree("a\nimport d/one", files, file="/etc/Corefile") == ["a: x"]


def test_words_know_the_file_and_line_they_stand_in():
    files = {"d/f": "\n\nx 1"}
    block = parse(
        '(s) {\n y\n}\na {\n import d/f\n import s\n z "\n\n" {\n  o\n }\n}',
        "Corefile",
        environ={},
        read=reader(files),
        glob=globber(files),
    )[0]
    x, y, z = block.directives
    assert (x.name.file, x.name.line, x.args[0].line) == ("d/f", 3, 3)
    assert (y.name.file, y.name.line) == ("Corefile", 2)
    assert (z.name.line, z.args[0].line, z.body[0].name.line) == (7, 7, 10)
    assert (block.keys[0].file, block.keys[0].line) == ("Corefile", 4)


def test_an_unmatched_pattern_is_a_warning():
    outcome = load(Case("a\nimport *.x\n"))
    assert outcome.errors == []
    assert outcome.warnings == ["Corefile:2: no files match the import pattern '*.x'"]


def test_warnings_may_be_left_unheard():
    assert len(parse("a\nimport *.x\n", "C", environ={}, read=reader({}), glob=globber({}))) == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(13, "Permission denied"), "cannot import 'f': permission denied"),
        (OSError("odd"), "cannot import 'f': odd"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "cannot import 'f': it is not UTF-8"),
        (ValueError("embedded null byte"), "cannot import 'f': embedded null byte"),
    ],
    ids=["permission", "plain", "encoding", "null byte"],
)
def test_a_file_that_cannot_be_read_is_an_error_of_its_import(error, why):
    def read(path):
        raise error

    with pytest.raises(ConfigError) as caught:
        parse("a\nimport f", "Corefile", environ={}, read=read, glob=globber({}))
    assert str(caught.value).startswith("Corefile:2: " + why)


def test_a_folder_that_cannot_be_listed_is_an_error_of_its_import():
    def glob(pattern):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ConfigError, match=r"Corefile:2: cannot look for '\*': permission denied"):
        parse("a\nimport *", "Corefile", environ={}, read=reader({}), glob=glob)


def test_a_file_is_read_once(monkeypatch):
    seen = []

    def read(path):
        seen.append(path)
        return "x"

    parse("a\nimport f\nimport f", "d/C", environ={}, read=read, glob=globber({}))
    assert seen == [posixpath.join("d", "f")]


def test_imports_may_not_grow_without_bound(monkeypatch):
    monkeypatch.setattr(imports, "MAX_TOKENS", 10)
    with pytest.raises(ConfigError, match="Corefile:8: the imports make over 10 words"):
        tree("(s) {\n x 1 2\n}\na\n" + "import s\n" * 3 + "import t", {"t": "y 1 2 3 4 5"})


def test_imports_may_grow_up_to_the_bound(monkeypatch):
    monkeypatch.setattr(imports, "MAX_TOKENS", 9)
    assert len(tree("(s) {\n x 1 2\n}\na\n" + "import s\n" * 3)) == 1


def test_braces_may_not_nest_without_bound():
    depth = parser.MAX_DEPTH
    assert tree("a {\n" + "x {\n" * depth + "}\n" * depth + "}")
    with pytest.raises(ConfigError, match=f"Corefile:{depth + 2}: over {depth} braces"):
        tree("a {\n" + "x {\n" * (depth + 1) + "}\n" * (depth + 1) + "}")


@pytest.mark.parametrize("text", [KUBEADM, NODE_LOCAL, K3S], ids=["kubeadm", "node-local", "k3s"])
def test_the_corefiles_of_clusters_parse(text):
    outcome = load(Case(text))
    assert outcome.errors == []
    assert all(one.body is None or one.body for b in outcome.blocks for one in b.directives)


def test_custom_corefiles_are_imported_as_k3s_and_aks_do():
    outcome = load(Case(K3S, CUSTOM), file="/etc/coredns/Corefile")
    assert (outcome.errors, outcome.warnings) == ([], [])
    assert [block.keys[0].text for block in outcome.blocks] == [".:53", "corp.example:53"]
    assert "log" in [one.name.text for one in outcome.blocks[0].directives]
