"""Keeps the last snapshot that each node accepted, as files: one node, one file.

Rules: a file is replaced in one step and carries a checksum; one that cannot be read counts as absent, because a
snapshot can always be built again from the log. Whoever starts without a control plane is served from here.
"""

import hashlib
import os
from pathlib import Path

import msgpack

from mesh.xds.snapshot import Resource, Snapshot

_SUFFIX = ".snapshot"
_CHECKSUM_BYTES = hashlib.sha256().digest_size


class SnapshotStore:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, snapshot: Snapshot) -> None:
        """Keep `snapshot` instead of the last one of its node. Raises: OSError."""
        resources = [[r.name, r.type_url, r.version, r.body, r.rebuilt] for r in snapshot.resources]
        content = msgpack.packb([snapshot.node, snapshot.kind, snapshot.identity, snapshot.position, resources])
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._file(snapshot.node).with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file(snapshot.node))

    def load(self) -> dict[str, Snapshot]:
        """What is kept and can be read, by node."""
        found = (self._read(file) for file in sorted(self._directory.glob(f"*{_SUFFIX}")))
        return {snapshot.node: snapshot for snapshot in found if snapshot}

    def forget(self, node: str) -> None:
        """The node has left the mesh."""
        self._file(node).unlink(missing_ok=True)

    def _file(self, node: str) -> Path:
        return self._directory / f"{node}{_SUFFIX}"

    @staticmethod
    def _read(file: Path) -> Snapshot | None:
        try:
            content = file.read_bytes()
            checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
            if hashlib.sha256(content).digest() != checksum:
                return None
            node, kind, identity, position, resources = msgpack.unpackb(content)
            return Snapshot(node, kind, identity, position, tuple(Resource(*fields) for fields in resources))
        except (OSError, ValueError, TypeError):  # torn, or written by a meshlog of another age
            return None
