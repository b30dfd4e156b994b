"""What cannot start is refused by `kdns check` already: each plugin looks without starting."""

from pathlib import Path

import pytest

from kdns.corefile.tree import ConfigError
from kdns.server.assembly import Services, build

CLUSTER = "kubernetes cluster.local {\n manifests none.yaml\n}"


@pytest.mark.parametrize(
    ("inside", "line", "why"),
    [
        ("tenant {\n deny\n}\nwhoami", 2, "nobody knows the namespaces"),
        (f"tenant {{\n deny\n}}\n{CLUSTER}", 2, "nobody knows the namespaces"),
        ("aaaa auto\nwhoami", 2, "there is no cluster"),
        ("guard\nwhoami", 2, "there is no cluster"),
        (f"guard {{\n tlds none\n}}\n{CLUSTER}", 3, "cannot read"),
        (f"guard {{\n tlds empty\n}}\n{CLUSTER}", 3, "names no domain"),
    ],
)
def test_what_cannot_start_is_seen_before(tmp_path: Path, inside, line, why):
    (tmp_path / "empty").write_text("# nothing\n")
    text = f". {{\n{inside}\n}}\n".replace("tlds ", f"tlds {tmp_path}/")
    assembly = build(text, str(tmp_path / "Corefile"), Services(), [])
    with pytest.raises(ConfigError, match=why) as caught:
        _ = [plugin.look() for plugin in assembly.plugins]
    assert caught.value.line == line
