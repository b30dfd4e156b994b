"""What holds for every kind: the metadata of objects, and the order in which they are checked."""

from collections.abc import Iterable
from typing import ClassVar

from kdns.lab import checks
from kdns.lab.errors import Cause, Obj
from kdns.lab.ranges import USUAL, Ranges
from kdns.lab.rules import Rules

_STANDARD = ("foregroundDeletion", "kubernetes", "orphan")
_MOST_ANNOTATIONS = 256 * 1024


class Kind(Rules):
    """A kind whose objects have a name of a form and fields that are checked."""

    name_form: ClassVar[checks.Form] = checks.subdomain

    def validate(self, obj: Obj, old: Obj | None, ranges: Ranges = USUAL) -> list[Cause]:
        """The metadata first, then what the kind itself minds."""
        form = type(self).name_form
        found = [*_metadata(obj["metadata"], form)]
        if old is not None:
            found += self.changed(obj, old)
        return [*found, *self.check_within(obj, ranges)]

    def check_within(self, obj: Obj, ranges: Ranges) -> Iterable[Cause]:
        """As check, for kinds whose addresses must be some that the lab can have."""
        del ranges
        return self.check(obj)

    def check(self, obj: Obj) -> Iterable[Cause]:
        """What is wrong with an object, whoever wrote it."""
        del obj
        return ()

    def changed(self, obj: Obj, old: Obj) -> Iterable[Cause]:
        """What is wrong with the way an object was changed."""
        del obj, old
        return ()


def _metadata(metadata: Obj, form: checks.Form) -> Iterable[Cause]:
    name = metadata.get("name") or ""
    if name:
        yield from checks.text_of("metadata.name", name, form)
    else:
        yield checks.required("metadata.name", "name or generateName is required")
    yield from checks.labels("metadata.labels", metadata.get("labels") or {})
    annotations = metadata.get("annotations") or {}
    for key in sorted(annotations):
        yield from checks.text_of("metadata.annotations", key, _annotation)
    size = sum(len(key) + len(value or "") for key, value in annotations.items())
    if size > _MOST_ANNOTATIONS:
        message = f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes"
        yield Cause("metadata.annotations", "FieldValueTooLong", message)
    yield from _owners(metadata.get("ownerReferences") or [])
    for place, finalizer in enumerate(metadata.get("finalizers") or []):
        at = f"metadata.finalizers[{place}]"
        yield from checks.text_of(at, finalizer, checks.qualified)
        if "/" not in finalizer and finalizer not in _STANDARD:
            why = "name is neither a standard finalizer name nor is it fully qualified"
            yield checks.invalid(at, finalizer, why)


def _annotation(key: str) -> list[str]:
    # the case of an annotation's prefix does not count
    return checks.qualified(key.lower()) and checks.qualified(key)


def _owners(owners: list[Obj]) -> Iterable[Cause]:
    controllers = []
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield checks.invalid(f"metadata.ownerReferences.{field}", "", "must not be empty")
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        names = " and ".join(f"{one.get('kind')}/{one.get('name')}" for one in controllers[:2])
        why = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {names}'
        )
        yield checks.invalid("metadata.ownerReferences", owners, why)
