"""Objects come from files and folders of YAML or JSON; the suite's own go out as YAML."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from kdns.conformance import wanted
from kdns.conformance.objects import Body, Objects, read
from kdns.conformance.wanted import Place

_SUFFIXES = {".yaml", ".yml", ".json"}


class ManifestError(Exception):
    """A file that cannot be read as objects, and why."""


def load(paths: Iterable[Path]) -> Objects:
    """The services that these files and folders describe."""
    try:
        return read(body for path in paths for file in _files(path) for body in _bodies(file))
    except ValueError as error:
        raise ManifestError(str(error)) from None


def dump(zone: str) -> str:
    """What the suite wants to be there, for `kubectl apply -f -` or a server that reads files."""
    bodies = wanted.bodies(Place(wanted.NAMESPACE, 0, zone))
    return str(yaml.dump_all(bodies, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.SafeDumper):
    """Writes what is repeated again, where YAML would refer to it by a name."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)


def _bodies(file: Path) -> Iterator[Body]:
    try:
        found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{file}: {getattr(error, 'strerror', None) or error}") from None
    for body in found:
        if isinstance(body, dict):
            yield body
        elif body is not None:
            raise ManifestError(f"{file}: expected objects, found {str(body)[:40]!r}")
