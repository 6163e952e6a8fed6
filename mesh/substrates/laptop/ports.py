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
    takers: dict[str, list[int]] = {}
    for _, port in taken:
        if owners.get(port) is None or owners.get(port) not in own:
            takers.setdefault(_name(owners.get(port)), []).append(port)
    if takers:
        said = "; ".join(_sentence(ports, taker) for taker, ports in takers.items())
        raise SubstrateError(f"{said}: end it, or start this mesh on other ports, as with --port-offset 1000")


def _sentence(ports: list[int], taker: str) -> str:
    if len(ports) == 1:
        return f"port {ports[0]} is taken by {taker}"
    return f"ports {', '.join(map(str, ports))} are taken by {taker}"


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
