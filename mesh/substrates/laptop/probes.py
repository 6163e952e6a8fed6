"""Is a process ready to do its work? Asked over the door that its users come by."""

import asyncio
import contextlib
import http.client
import socket
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mesh.control.client import ControlClient
from mesh.errors import MeshError
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.processes import Spec
from mesh.xds.admin import ADMIN_SOCKET

_SECONDS = 2.0  # one question may take this long


async def is_ready(spec: Spec, places: Places, *, speaks_grpc: bool = False) -> bool:
    """True if the process started from `spec` answers as its kind should. Never raises; takes at most two seconds."""
    with contextlib.suppress(OSError, ValueError, EOFError, MeshError):  # TimeoutError is an OSError
        async with asyncio.timeout(_SECONDS):
            return await _ask(spec, places, speaks_grpc)
    return False


async def _ask(spec: Spec, places: Places, speaks_grpc: bool) -> bool:
    match spec.kind:
        case "control-plane":
            if not places.control_socket.exists():
                return False
            async with ControlClient(places.control_address) as control:
                await control.status()
            return True
        case "sink":
            return await http_status(("127.0.0.1", spec.ports[-1]), "/healthz") == 200
        case "edge" | "sidecar":
            return await http_status(spec.cwd / ADMIN_SOCKET, "/ready") == 200
        case "reflection":
            return await _serves(spec.cwd / "reflection.sock")
        case "workload":
            return await _serves(spec.cwd / "app.sock") if speaks_grpc else await _accepts(spec.cwd / "app.sock")
        case _:
            return True  # it has no door: being alive is all that can be asked


async def http_status(where: Path | tuple[str, int], path: str, method: str = "GET") -> int:
    """The status of the answer to a request without a body. Raises: OSError."""
    status, _ = await http_exchange(where, path, method)
    return status


async def http_exchange(where: Path | tuple[str, int], path: str, method: str = "GET") -> tuple[int, bytes]:
    """Status and body. `where`: a unix socket, or (host, port). Raises: OSError."""
    return await asyncio.to_thread(_exchange, where, path, method)


def _exchange(where: Path | tuple[str, int], path: str, method: str) -> tuple[int, bytes]:
    connection = _Connection(where)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP at {where}: {error!r}") from error
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """To a unix socket too."""

    def __init__(self, where: Path | tuple[str, int]) -> None:
        host, port = ("localhost", 80) if isinstance(where, Path) else where
        super().__init__(host, port, timeout=_SECONDS)
        self._path = where if isinstance(where, Path) else None

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


async def active_calls(admin: Path) -> int:
    """How many calls an edge has under way. Raises: OSError, ValueError."""
    _, body = await http_exchange(admin, "/stats?filter=^http\\.(grpc|rest)\\.downstream_rq_active$")
    return sum(int(line.rpartition(b":")[2]) for line in body.splitlines() if line)


async def _accepts(door: Path) -> bool:
    _, writer = await asyncio.open_unix_connection(door)
    writer.close()
    return True


async def _serves(door: Path) -> bool:
    """By the gRPC health protocol; a server that does not speak it counts as healthy once it answers at all."""
    if not await _accepts(door):
        return False
    async with grpc.aio.insecure_channel(f"unix:{door}") as channel:
        try:
            health: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
        except grpc.aio.AioRpcError as error:
            return error.code() == grpc.StatusCode.UNIMPLEMENTED
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
