"""How a shelf of the cache makes room."""

from collections import defaultdict

from kdns.client.shelf import Entry, Shelf
from kdns.wire.message import Answer


def entry(at: int) -> Entry:
    key = (b"%d" % at, 1, 1, False, True)
    return Entry(key, "success", Answer(), 0.0, 5, 5.0, (), 0, 900, 0.0, 0.0)


def test_room_is_made_in_a_bounded_number_of_looks():
    """Of a shelf whose entries were all hit: a whole round took 35 ms at 100,000."""
    shelf = Shelf("success", 4096, defaultdict(int), lambda *labels: labels)
    for at in range(4096):
        shelf.put(entry(at))
    for one in shelf.entries.values():
        one.is_spared = True
    shelf.put(entry(-1))
    assert len(shelf.entries) == 4096
    assert entry(-1).key in shelf.entries
    assert sum(one.is_spared for one in shelf.entries.values()) > 3000
