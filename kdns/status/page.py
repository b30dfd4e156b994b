"""The status page as one document, and the policy that a browser holds it to.

Its style and script are written into it, so that nothing else need be fetched; the policy names
both by their hash, and forbids whatever else a hostile name could try.
"""

import base64
import hashlib
from importlib.resources import files

_SCRIPTS = (
    "dom", "words", "feed", "history", "chart", "traffic", "services", "changes", "lists",
    "steps", "explain", "page",
)  # fmt: skip
"""In order: each knows only those before it."""


def page() -> bytes:
    """The document."""
    return _PAGE


def _read(name: str) -> str:
    return (files(__package__) / "web" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


_STYLE = _read("page.css")
_SCRIPT = "".join(_read(f"{name}.js") for name in _SCRIPTS)
_PAGE = _read("index.html").replace("{{css}}", _STYLE).replace("{{script}}", _SCRIPT).encode()

POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_hash(_SCRIPT)}",
        f"style-src {_hash(_STYLE)}",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Content-Security-Policy; goes with every reply."""
