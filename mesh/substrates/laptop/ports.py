"""Is a port free, and if not, whose is it?"""

import contextlib
import socket
from collections.abc import Iterable

import psutil

from mesh.errors import SubstrateError


def require_free(ports: Iterable[tuple[str, int]], *, own: frozenset[int] = frozenset()) -> None:
    """Raises SubstrateError naming every port of `ports` (address, port) that somebody else listens on.

    own: process ids of this mesh, whose ports count as free.
    """
    taken = [(address, port) for address, port in ports if not _is_free(address, port)]
    if not taken:
        return
    owners = _owners()
    foreign = [(port, owners.get(port)) for _, port in taken if owners.get(port) not in own or owners.get(port) is None]
    if foreign:
        said = "; ".join(f"port {port} is taken by {_name(owner)}" for port, owner in foreign)
        raise SubstrateError(f"{said}: end it, or start this mesh on other ports, as with --port-offset 1000")


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        # as Envoy does, or a port whose last connections are still closing would count as taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _owners() -> dict[int, int | None]:
    """Port to process id, of all that listen. The processes of other users have none."""
    with contextlib.suppress(psutil.AccessDenied):
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        return {connection.laddr.port: connection.pid for connection in listening if connection.laddr}
    return {}


def _name(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        process = psutil.Process(pid)
        mesh = process.environ().get("MESHLOG_MESH")
        return f"{process.name()} (pid {pid}{f', of the mesh {mesh!r}' if mesh else ''})"
    except psutil.Error:
        return f"pid {pid}"
