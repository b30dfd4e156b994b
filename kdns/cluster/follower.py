"""Who is told what a Store holds, object by object, so that another process can hold the same."""

from kdns.cluster.objects import Object


class Follower:
    """Is told within the change, so it only notes; this one is nobody."""

    def put(self, kind: type[Object], at: tuple[str, str], new: Object | None) -> None:
        """An object is another one from now on, or gone. A change of its version alone is none."""

    def released(self) -> None:
        """Holds end now, before their time."""
