"""References to environment variables in a word become their values.

`{%NAME%}` first, then `{$NAME}`, each until none is left, so a value may hold references of its
own; an undefined variable is empty, and from a malformed reference on the text stays as it is.
"""

from collections.abc import Mapping

from kdns.corefile.tree import Word

_MAX_ROUNDS = 1000
_MAX_LENGTH = 1_000_000
"""Of one word: a variable that holds a reference to itself would go on and on, or grow and grow."""


def expand(word: Word, environ: Mapping[str, str]) -> Word:
    """Replaces the references in a word; raises ConfigError when they never end."""
    if "{%" not in word.text and "{$" not in word.text:
        return word
    text = _replace(word, word.text, ("{%", "%}"), environ)
    return Word(_replace(word, text, ("{$", "}"), environ), word.file, word.line)


def _replace(word: Word, text: str, marks: tuple[str, str], environ: Mapping[str, str]) -> str:
    opening, closing = marks
    for _ in range(_MAX_ROUNDS):
        start = text.find(opening)
        end = text.find(closing, start)
        name = text[start + len(opening) : end]
        if start < 0 or end < 0 or not name:
            return text
        if len(text) > _MAX_LENGTH:
            break
        text = text.replace(opening + name + closing, environ.get(name, ""))
    raise word.fail(f"the environment variables in {word.text!r:.80} refer to themselves")
