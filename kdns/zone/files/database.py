"""A zone's records in SQLite: whole generations in, whole generations out, each commit on the disk.

The file belongs to one zone and says so. What cannot be read, or is of another zone, raises
DatabaseError with what to do; nothing is ever made anew in its place.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

from kdns.wire import names, types
from kdns.wire.names import Key
from kdns.zone.files.parse import Record
from kdns.zone.files.update import Contents, gathered, serial_of

FORMAT = "kdns dynupdate 1"

_SCHEMA = """
CREATE TABLE about (format TEXT NOT NULL, zone BLOB NOT NULL);
CREATE TABLE done (mark BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    owner BLOB NOT NULL, type INTEGER NOT NULL, ttl INTEGER NOT NULL, rdata BLOB NOT NULL,
    place INTEGER NOT NULL, PRIMARY KEY (owner, type, rdata)
) WITHOUT ROWID;
"""


class DatabaseError(Exception):
    """The file cannot be used, and why."""


class Conflict(Exception):
    """Somebody else has written a generation that is not the one an update began from."""


class Replayed(Exception):
    """The update was done before, here or elsewhere."""


class Mark(NamedTuple):
    """What tells an update from all others, for as long as it might come again."""

    octets: bytes
    until: int
    """Unix time."""
    now: int


class Database:
    """The file; any thread may use it, one at a time."""

    def __init__(self, path: str, apex: Key) -> None:
        self.path = path
        self._apex = apex

    @property
    def is_there(self) -> bool:
        """True once it has been made."""
        return os.path.exists(self.path)

    def read(self) -> Contents:
        """The generation it holds."""
        with _told(self.path), closing(self._open("ro")) as connection:
            return self._read(connection)

    def write(self, before: Contents, after: Contents, mark: Mark) -> None:
        """Puts a generation in the place of the one it came from, durably.

        The file is made where it is not there. Raises Conflict where it holds another one, Replayed
        where the update is among those that were done.
        """
        with _told(self.path):
            self._make(before)
            with closing(self._open("rw")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM done WHERE until < ?", (mark.now,))
                query = "SELECT 1 FROM done WHERE mark = ?"
                if connection.execute(query, (mark.octets,)).fetchone():
                    raise Replayed
                if self._serial(connection) != before.serial:
                    raise Conflict
                for owner in before.names.keys() | after.names.keys():
                    if before.names.get(owner) != after.names.get(owner):
                        connection.execute("DELETE FROM records WHERE owner = ?", (owner,))
                        connection.executemany(_INSERT, _rows(after, owner))
                connection.execute("INSERT INTO done VALUES (?, ?)", (mark.octets, mark.until))
                connection.execute("COMMIT")

    def _make(self, contents: Contents) -> None:
        """Makes the file with this generation, whole or not at all, unless it is there."""
        if self.is_there:
            return
        draft = f"{self.path}.{os.getpid()}.new"
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(sqlite3.connect(draft)) as connection:
                connection.executescript(_SCHEMA)
                connection.execute("INSERT INTO about VALUES (?, ?)", (FORMAT, self._apex))
                for owner in contents.names:
                    connection.executemany(_INSERT, _rows(contents, owner))
                connection.commit()
            with suppress(FileExistsError):
                os.link(draft, self.path)
        finally:
            os.unlink(draft)

    def _open(self, mode: str) -> sqlite3.Connection:
        uri = "file:" + "".join(f"%{b:02x}" for b in os.fsencode(os.path.abspath(self.path)))
        connection = sqlite3.connect(
            f"{uri}?mode={mode}", uri=True, timeout=5, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = EXTRA")
        return connection

    def _read(self, connection: sqlite3.Connection) -> Contents:
        about = connection.execute("SELECT format, zone FROM about").fetchall()
        if len(about) != 1 or about[0][0] != FORMAT:
            raise DatabaseError(f"{self.path} is no database of dynupdate; give it another file")
        if about[0][1] != self._apex:
            other = names.format(names.fold(about[0][1]))
            raise DatabaseError(f"{self.path} holds the zone {other}; give each zone its own file")
        rows = connection.execute(
            "SELECT owner, type, ttl, rdata FROM records ORDER BY owner, type, place"
        )
        try:
            return gathered(self._apex, (Record(*row) for row in rows))
        except (ValueError, TypeError) as error:
            raise DatabaseError(f"{self.path} is damaged: {error}; restore a copy of it") from error

    def _serial(self, connection: sqlite3.Connection) -> int:
        """The serial of the generation in it."""
        query = "SELECT rdata FROM records WHERE owner = ? AND type = ?"
        rows = connection.execute(query, (self._apex, types.SOA))
        found = rows.fetchone()
        if found is None:
            raise DatabaseError(f"{self.path} has no SOA; restore a copy of it")
        return serial_of(found[0])

    def stamp(self) -> tuple[int, int, int] | None:
        """What changes whenever it is written; None while it is not there."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?)"


def _rows(contents: Contents, owner: Key) -> Iterator[tuple[Key, int, int, bytes, int]]:
    for type_, (ttl, rdatas) in contents.names.get(owner, {}).items():
        for place, rdata in enumerate(rdatas):
            yield owner, type_, ttl, rdata, place


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What SQLite or the system says, as a DatabaseError."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise DatabaseError(f"{path}: {error}; restore a copy of it, or move it away") from error
    except OSError as error:
        raise DatabaseError(f"{path}: {error.strerror}") from error
