"""Where a mesh keeps its things on a laptop.

    <home>/<mesh>/           what outlives the mesh, readable by its owner alone
        log/                 the event log
        spool/               what the edge's journal has written and the shipper has not yet moved into the log
        ca/                  the certificate authority
        snapshots/           the last configuration that each Envoy accepted
        logs/                what the processes print
    <run>/                   what `meshlog down` removes
        plan.msgpack         what `meshlog up` asked for; plan.next and plan.taken before it is applied
        state.json           what the supervisor knows, for `meshlog status`
        lock                 held by the supervisor
        control.sock ads.sock
        nodes/<node>/        where an Envoy and its workload live: bootstrap, certificates, sockets

Rule: a unix socket's path has at most 107 bytes, so <run> is <home>/<mesh>/run only where that is short enough, and else in
/tmp: not in $TMPDIR, because every shell must find the same place.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import SubstrateError

_SOCKET_PATH_BYTES = 107
_LONGEST_BELOW_RUN = len("/nodes/sidecar-" + "x" * 48 + "/admin.sock")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Places:
    name: str
    state: Path
    run: Path

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def spool(self) -> Path:
        return self.state / "spool"

    @property
    def ca(self) -> Path:
        return self.state / "ca"

    @property
    def snapshots(self) -> Path:
        return self.state / "snapshots"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def plan(self) -> Path:
        return self.run / "plan.msgpack"

    @property
    def state_file(self) -> Path:
        return self.run / "state.json"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def control_address(self) -> str:
        return f"unix:{self.control_socket}"

    @property
    def ads_socket(self) -> Path:
        """What Envoys connect to: a link to the socket of the control plane, or of the fallback while that is away."""
        return self.run / "ads.sock"

    def log_of(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def node(self, node_id: str) -> Path:
        return self.run / "nodes" / node_id

    def make(self) -> None:
        """Make the directories, readable by the owner alone. Raises: SubstrateError."""
        try:
            for directory in (
                self.state,
                self.log,
                self.spool,
                self.ca,
                self.snapshots,
                self.logs,
                self.run,
                self.run / "nodes",
            ):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                if directory.lstat().st_uid != os.getuid():
                    raise SubstrateError(
                        f"{directory} belongs to another user; choose another directory with MESHLOG_HOME"
                    )
                directory.chmod(0o700)
        except OSError as error:
            raise SubstrateError(
                f"cannot make {error.filename or self.state}: {error.strerror}; choose another directory with MESHLOG_HOME"
            ) from error


def places(home: Path, name: str) -> Places:
    """The places of the mesh called `name` below `home`. Raises: SubstrateError."""
    if not _NAME.fullmatch(name):
        raise SubstrateError(
            f"{name!r} cannot name a mesh: 1 to 32 of a-z, 0-9 and -, beginning with a letter or digit"
        )
    state = home.absolute() / name
    run = state / "run"
    if len(os.fsencode(run)) + _LONGEST_BELOW_RUN > _SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
        run = Path(f"/tmp/meshlog-{os.getuid()}-{digest}")  # noqa: S108 (made for us alone, and checked: see `make`)
    return Places(name, state, run)
