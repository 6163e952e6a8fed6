"""Files of lines that grow while a run goes on: each line is written whole or not at all, and survives the loss of power."""

import os
from pathlib import Path


def append(line: bytes, path: Path) -> None:
    """Keep `line`, which has no newline in it; when this returns it is on the disk. Raises: OSError (nothing is left half-written)."""
    line += b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        end = _repaired_end(descriptor, path)
        try:
            if os.pwrite(descriptor, line, end) != len(line):
                raise OSError(28, os.strerror(28), str(path))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def read(path: Path) -> list[bytes]:
    """The lines, oldest first. A last one that was torn by a crash is left out. Raises: OSError."""
    return path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn, or nothing


def _repaired_end(descriptor: int, path: Path) -> int:
    """Where the next line begins: after the last whole one; what a crash tore is cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 1))
        if file.read(1) in (b"", b"\n"):  # as always, but after a crash: the whole file need not be read
            return size
    end = path.read_bytes().rfind(b"\n") + 1
    os.ftruncate(descriptor, end)
    return end
