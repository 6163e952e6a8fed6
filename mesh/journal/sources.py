"""What lies in a spool: which files are to be shipped, and which of them will not grow any more.

    <spool>/<incarnation>/<asked>-<VM's birth, µs>-<address>-<number>.spool   segments; a VM writes to the highest number only
    <spool>/<incarnation>/access.json                                         where Envoy writes its access log
    <spool>/<incarnation>/access-<ns>.json                                    the same file by a name that is never used again

One start of Envoy is one incarnation. Names of incarnations sort by age (a time in ns does), and one is made only when the
Envoy before it is dead: whatever lies in an older one is over.

A file is known to the log by its name, with an offset that only grows. So Envoy's access log, whose name comes back after
every rotation, gets a second name (a hard link) before anything of it is shipped. Rotating is to unlink the first name and to
tell Envoy to open its logs again; Envoy writes to the old file until it has made the new one.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.journal import accesslog

ACCESS_LOG = Path(accesslog.ACCESS_LOG).name


@dataclass(frozen=True, slots=True)
class Source:
    path: Path
    over: bool  # nobody writes to it any more; true before it is read, so that what is read last is the last there is

    @property
    def producer(self) -> str:
        """Its name in the log."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def is_segment(self) -> bool:
        return self.path.suffix == ".spool"


def incarnations(spool: Path) -> list[Path]:
    """Oldest first."""
    try:
        return sorted(Path(entry) for entry in os.scandir(spool) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []  # no edge has been started here yet


def sources(spool: Path, *, envoy_gone: bool) -> Iterator[Source]:
    """What is there to ship: oldest incarnation first, in each the segments first, since a call is answered before it is finished.

    envoy_gone: nobody writes to the newest incarnation either.
    """
    directories = incarnations(spool)
    for directory in directories:
        over = envoy_gone or directory != directories[-1]
        names = sorted(entry.name for entry in os.scandir(directory))
        segments = [name for name in names if name.endswith(".spool")]
        for name, following in zip(segments, [*segments, ""][1:], strict=True):
            yield Source(directory / name, over or _vm(name) == _vm(following))
        yield from _access_logs(directory, names, over)


def opened_us(segment: Path) -> int:
    """No record of a segment is older than the VM that wrote it."""
    born = segment.name.split("-")[1:2]
    return int(born[0]) if born and born[0].isdigit() else 0


def without_access_log(directory: Path) -> bool:
    """Whether the access log of this incarnation was rotated away, and Envoy has not made a new one yet."""
    return not (directory / ACCESS_LOG).exists() and any(directory.glob("access-*.json"))


def rotate(directory: Path, beyond_bytes: int) -> None:
    """Take the first name from an access log that has grown long."""
    access_log = directory / ACCESS_LOG
    with contextlib.suppress(FileNotFoundError):
        stat = access_log.stat()
        if stat.st_size > beyond_bytes and stat.st_nlink > 1:
            access_log.unlink()


def remove(source: Source) -> None:
    """Forget a file that is over and shipped."""
    access_log = source.path.parent / ACCESS_LOG
    if not source.is_segment and access_log.exists() and _same(source.path, access_log.stat()):
        access_log.unlink()  # first: with one name left it would be shipped again, under another
    source.path.unlink(missing_ok=True)


def remove_empty(spool: Path) -> None:
    """Forget incarnations that left nothing more to ship."""
    for directory in incarnations(spool)[:-1]:
        with contextlib.suppress(OSError):  # it is not empty
            directory.rmdir()


def _vm(segment: str) -> str:
    return segment.rpartition("-")[0]


def _access_logs(directory: Path, names: list[str], over: bool) -> Iterator[Source]:
    written = None
    if ACCESS_LOG in names:
        written = (directory / ACCESS_LOG).stat()
        if written.st_nlink == 1:
            name = f"access-{time.time_ns()}.json"
            with contextlib.suppress(OSError):  # a full disk: later; the journal's own segments do not wait for that
                (directory / name).hardlink_to(directory / ACCESS_LOG)
                names = [*names, name]
    for name in names:
        if name.startswith("access-"):
            rotated = written is not None and not _same(directory / name, written)
            yield Source(directory / name, over or rotated)


def _same(path: Path, other: os.stat_result) -> bool:
    stat = path.stat()
    return (stat.st_dev, stat.st_ino) == (other.st_dev, other.st_ino)
