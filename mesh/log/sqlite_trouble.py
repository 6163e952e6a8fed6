"""What is wrong with a file of the log, as a sentence that says what to do about it."""

import sqlite3
from pathlib import Path

from mesh.errors import LogUnavailable

BUSY_SECONDS = 5.0  # a person may look into the file with a database browser; longer is a hindrance worth an error
RESTORE = "put a copy of it back, or move it away to begin a new log"


def explanation(path: Path, error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"{path} cannot be used: {error.strerror or error}"
    name = error_name(error)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"{path} is damaged or no log at all ({error}); nothing was changed: {RESTORE}"
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return f"{path} cannot be written or read ({error}): is the disk full or failing? Nothing of this was kept"
    if name.startswith("SQLITE_BUSY"):
        return f"another program has locked {path} for more than {BUSY_SECONDS:.0f} s; end it"
    return f"{path} cannot be used ({error}); look at its owner and permissions"


def is_void(path: Path) -> bool:
    """Whether there is no such file, or nothing in it."""
    return not path.exists() or path.stat().st_size == 0


def refuse_lost_main_file(path: Path) -> None:
    """SQLite would throw away the WAL of an empty file, and with it commits that were acknowledged."""
    wal = path.with_name(path.name + "-wal")
    if is_void(path) and not is_void(wal):
        raise LogUnavailable(
            f"{path} is missing or empty, but {wal.name} holds commits of it; {RESTORE} (with {wal.name})"
        )


def error_name(error: sqlite3.Error) -> str:
    """As SQLite calls it: "SQLITE_FULL"; empty for an error of Python's module itself."""
    return getattr(error, "sqlite_errorname", None) or ""
