"""One SQLite file of commits. No threads, no waiting for one another: `write` belongs to one thread, the rest to another.

Rules:
- WAL, synchronous=FULL: when `write` returns, the commits survive the loss of power;
- one `write` is one transaction: all of it is kept, or nothing;
- only its owner may read it: calls carry what people asked;
- a record stands beside a checksum of itself and of its place, which is compared whenever it is read;
- a file that is not ours, is damaged or comes from a newer meshlog is refused with what to do; nothing is repaired in silence.
"""

import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import ConcurrentAppend, LogUnavailable, UnreadableEvent
from mesh.log.codec import decode
from mesh.log.port import START, Entry, Position, Produced
from mesh.log.sqlite_trouble import BUSY_SECONDS, RESTORE, error_name, explanation, refuse_lost_main_file

APPLICATION_ID = 0x4D4C4F47  # "MLOG", in the file's header: tells our files from any other program's
SCHEMA_VERSION = 1
WAL_BYTES_MAX = 64 * 1024 * 1024  # a WAL that has grown beyond this is cut when it starts anew

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE commits (stream TEXT NOT NULL, position INTEGER NOT NULL, checksum INTEGER NOT NULL, record BLOB NOT NULL);
CREATE UNIQUE INDEX commits_by_place ON commits (stream, position);
CREATE TABLE producers (
    stream TEXT NOT NULL, producer TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (stream, producer)
) WITHOUT ROWID;
CREATE TABLE tallies (
    stream TEXT NOT NULL, type TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (stream, type)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""

ADD_TO_TALLY = """
INSERT INTO tallies (stream, type, amount) VALUES (?, ?, ?)
ON CONFLICT (stream, type) DO UPDATE SET amount = amount + excluded.amount
"""

# One seek a stream: the smallest name, then the smallest that is greater, and so on.
NAMES = """
WITH RECURSIVE names(name) AS (
    SELECT min(stream) FROM commits WHERE stream >= :first
    UNION ALL
    SELECT (SELECT min(stream) FROM commits WHERE stream > name) FROM names WHERE name < :beyond
)
SELECT name FROM names WHERE name < :beyond
"""
BEYOND_ALL = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Append:
    stream: str
    record: bytes
    expect: Position | None
    produced: Produced | None
    tally: Mapping[str, int]  # what the record adds to it


class CommitFile:
    """Its questions are those of a Log (mesh/log/port.py), and raise the same errors."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises: LogUnavailable, UnreadableEvent."""
        self.path = path
        self._distrusted = ""
        with self._explained():
            refuse_lost_main_file(path)
            path.touch(mode=0o600)  # SQLite gives the files beside it the same mode
            self._writer, self._reader = _connected(path), _connected(path)
            try:
                self._check()
            except BaseException:
                self.close()
                raise

    def write(self, appends: Sequence[Append]) -> list[Position | ConcurrentAppend]:
        """What became of each append, in their order. Raises: LogUnavailable; nothing of any of them was kept."""
        if self._distrusted:
            raise LogUnavailable(self._distrusted)
        with self._explained():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                outcomes = [self._enter(append) for append in appends]
                self._writer.execute("COMMIT")
            except BaseException as error:
                self._distrust_after(error)
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        return outcomes

    def read(self, stream: str, after: Position, limit: int | None = None) -> list[Entry]:
        query = "SELECT position, checksum, CAST(record AS BLOB) FROM commits WHERE stream = ? AND position > ? ORDER BY position LIMIT ?"
        with self._explained():
            rows = self._reader.execute(query, (stream, after, -1 if limit is None else limit)).fetchall()
        for index, (position, _, _) in enumerate(rows):
            if position != rows[0][0] + index:
                raise UnreadableEvent(f"position {position - 1} of {stream} is missing in {self.path}; {RESTORE}")
        return [self._entry(stream, position, kept, record) for position, kept, record in rows]

    def names(self, streams: str) -> list[str]:
        if streams and not streams.endswith("/"):
            return [streams] if self.head(streams) else []
        beyond = streams[:-1] + "0" if streams else BEYOND_ALL  # "0" follows "/": the first name that is not below it
        with self._explained():
            return [name for (name,) in self._reader.execute(NAMES, {"first": streams, "beyond": beyond})]

    def head(self, stream: str) -> Position:
        with self._explained():
            return _head(self._reader, stream)

    def offset(self, stream: str, producer: str) -> int:
        with self._explained():
            return _offset(self._reader, stream, producer)

    def tally(self, stream: str) -> dict[str, int]:
        with self._explained():
            return dict(self._reader.execute("SELECT type, amount FROM tallies WHERE stream = ?", (stream,)))

    def close(self) -> None:
        self._reader.close()
        self._writer.close()  # the last to go empties the WAL

    def _check(self) -> None:
        """What can be checked at the cost of a few seeks: whose file this is, and the end of each stream."""
        application_id, version = (_pragma(self._writer, name) for name in ("application_id", "user_version"))
        tables = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application_id != APPLICATION_ID:
            raise LogUnavailable(
                f"{self.path} is a database of another program; move it away or choose another directory"
            )
        if version > SCHEMA_VERSION:
            raise LogUnavailable(f"{self.path} was written by a newer meshlog (form {version}); use that one")
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        self._writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        if not tables:
            self._writer.executescript(SCHEMA)
            _keep_name(self.path.parent)
        for stream in self.names(""):
            self.read(stream, self.head(stream) - 1)

    def _enter(self, append: Append) -> Position | ConcurrentAppend:
        head = _head(self._writer, append.stream)
        produced = append.produced
        if produced is not None and produced.offset <= _offset(self._writer, append.stream, produced.producer):
            return head
        if append.expect is not None and append.expect != head:
            return ConcurrentAppend(append.stream, append.expect, head)
        place = (append.stream, head + 1)
        row = (*place, _checksum(*place, append.record), append.record)
        self._writer.execute("INSERT INTO commits (stream, position, checksum, record) VALUES (?, ?, ?, ?)", row)
        added = [(append.stream, kind, amount) for kind, amount in append.tally.items()]
        self._writer.executemany(ADD_TO_TALLY, added)
        if produced is not None:
            kept = (append.stream, produced.producer, produced.offset)
            self._writer.execute("INSERT OR REPLACE INTO producers (stream, producer, offset) VALUES (?, ?, ?)", kept)
        return head + 1

    def _entry(self, stream: str, position: Position, kept: int, record: bytes) -> Entry:
        if _checksum(stream, position, record) != kept:
            raise UnreadableEvent(
                f"position {position} of {stream} in {self.path} is damaged: its checksum differs; {RESTORE}"
            )
        try:
            return Entry(stream, position, decode(record))
        except UnreadableEvent as error:
            raise UnreadableEvent(f"position {position} of {stream}: {error}") from error

    def _distrust_after(self, error: BaseException) -> None:
        """After a failed fsync nobody knows what is on the disk, and a second fsync would lie about it: no more appends."""
        if isinstance(error, sqlite3.Error) and error_name(error) == "SQLITE_IOERR_FSYNC":
            self._distrusted = (
                f"the disk failed while {self.path} was forced to it, so that the last commits may or may not be kept; "
                "look at the disk, then end the mesh and start it again"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LogUnavailable(self._distrusted or explanation(self.path, error)) from error


def _connected(path: Path) -> sqlite3.Connection:
    # isolation_level None: transactions begin and end where we say; the threads' turns are our caller's promise
    return sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _keep_name(directory: Path) -> None:
    """A new file's name survives the loss of power only when its directory was forced to disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _checksum(stream: str, position: Position, record: bytes) -> int:
    return zlib.crc32(record, zlib.crc32(f"{stream} {position}".encode()))


def _head(connection: sqlite3.Connection, stream: str) -> Position:
    row = connection.execute("SELECT max(position) FROM commits WHERE stream = ?", (stream,)).fetchone()
    return START if row[0] is None else int(row[0])


def _offset(connection: sqlite3.Connection, stream: str, producer: str) -> int:
    query = "SELECT offset FROM producers WHERE stream = ? AND producer = ?"
    row = connection.execute(query, (stream, producer)).fetchone()
    return 0 if row is None else int(row[0])


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
