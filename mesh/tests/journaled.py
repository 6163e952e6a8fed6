"""A real Envoy whose two listeners have the journal as first filter, in front of a small upstream: for the tests of the journal."""

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import msgpack

from mesh.journal.accesslog import ACCESS_LOG, access_log_format
from mesh.journal.program import journal_module
from mesh.journal.spool import END, frames
from mesh.substrates.laptop.specs import envoy_binary
from mesh.tests.upstream import Upstream, free_port

TYPES = "type.googleapis.com/envoy"
HCM = f"{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
POSITION = 7
DESCRIPTORS = Path(__file__).parents[2] / "services" / "stubs" / "pspd.binpb"


class JournaledEnvoy:
    """Envoy in a directory of its own; every start is a new incarnation with a spool of its own."""

    def __init__(self, home: Path, upstream: Upstream, *, journal: bool = True, concurrency: int = 2) -> None:
        self.home, self.upstream, self.journal, self.concurrency = home, upstream, journal, concurrency
        self.rest, self.grpc, self.admin = free_port(), free_port(), free_port()
        self.spools = home / "spools"
        self.spools.mkdir(parents=True)
        self.incarnations = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def spool(self) -> Path:
        return self.spools / f"{self.incarnations:04d}"

    async def start(self) -> None:
        self.incarnations += 1
        self.spool.mkdir()
        link = self.home / "spool"
        link.unlink(missing_ok=True)
        link.symlink_to(self.spool)
        (self.home / "envoy.json").write_text(json.dumps(self._bootstrap()))
        command = [str(envoy_binary()), "-c", "envoy.json", "--disable-hot-restart", "-l", "error"]
        command += ["--concurrency", str(self.concurrency), "--file-flush-interval-msec", "100"]
        with (self.home / "envoy.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.home, stdout=log, stderr=log, restore_signals=False
            )  # Python ignores SIGXFSZ, and so shall Envoy: a test limits the size of its files
        for _ in range(200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.rest)
                writer.close()
                return
            assert self.process.poll() is None, (self.home / "envoy.log").read_text()
            await asyncio.sleep(0.02)
        raise TimeoutError("Envoy does not listen")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def log(self) -> str:
        return (self.home / "envoy.log").read_text()

    async def reopen_logs(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.admin)
        writer.write(b"POST /reopen_logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def _bootstrap(self) -> dict[str, Any]:
        return {
            "admin": {"address": _address(self.admin)},
            "static_resources": {
                "listeners": [_listener("rest", self.rest, self.journal), _listener("grpc", self.grpc, self.journal)],
                "clusters": [
                    _cluster("rest", self.upstream.http_port, h2=False),
                    _cluster("grpc", self.upstream.grpc_port, h2=True),
                    _cluster("down", 1, h2=False),
                ],
            },
        }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int, *, h2: bool) -> dict[str, Any]:
    protocol: dict[str, Any] = {"http2_protocol_options": {}} if h2 else {"http_protocol_options": {}}
    options = {
        "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": protocol,
    }
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {
        "name": name,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _headers(**values: str) -> list[dict[str, Any]]:
    return [{"header": {"key": key.replace("_", "-"), "value": value}} for key, value in values.items()]


def _listener(asked: str, port: int, journal: bool) -> dict[str, Any]:
    served = _headers(x_meshlog_service="a", x_meshlog_version="v1")
    routes = [
        {"match": {"prefix": "/nowhere"}, "direct_response": {"status": 404, "body": {"inline_string": "{}"}}},
        {"match": {"prefix": "/down"}, "route": {"cluster": "down"}, "response_headers_to_add": served},
        {"match": {"prefix": "/"}, "route": {"cluster": asked, "timeout": "0s"}, "response_headers_to_add": served},
    ]
    lua = {
        "@type": f"{TYPES}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": _journal_alone(asked)},
    }
    transcoder = {
        "@type": f"{TYPES}.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor": str(DESCRIPTORS),
        "services": ["pspd.ServiceA", "pspd.ServiceB"],
        "convert_grpc_status": True,
        "match_incoming_request_route": True,
    }
    router = {"@type": f"{TYPES}.extensions.filters.http.router.v3.Router"}
    filters: list[tuple[str, Any]] = [("envoy.filters.http.lua", lua)] * journal
    filters += [("envoy.filters.http.grpc_json_transcoder", transcoder)] * (asked == "grpc")
    filters += [("envoy.filters.http.router", router)]
    manager = {
        "@type": HCM,
        "stat_prefix": asked,
        "http_filters": [{"name": name, "typed_config": config} for name, config in filters],
        "access_log": [_access_log()] * journal,
        "delayed_close_timeout": "0s",
        "route_config": {
            "name": asked,
            "response_headers_to_add": _headers(
                x_meshlog_position=str(POSITION), x_request_id="%REQ(x-request-id)%", x_trace_id="%REQ(x-trace)%"
            ),
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        },
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "name": asked,
        "address": _address(port),
        "enable_reuse_port": False,
        "filter_chains": [chain],
    }


def _journal_alone(asked: str) -> str:
    """A filter of the journal and nothing else."""
    return f"""
local journal = (function()
{journal_module(asked)}
end)()
local function texts(headers)
  local found = {{}}
  for name, value in pairs(headers) do found[name] = value end
  return found
end
function envoy_on_request(handle)
  local call = journal.asked(handle, texts(handle:headers()))
  for chunk in handle:bodyChunks() do journal.body(call, chunk) end
end
function envoy_on_response(handle) journal.answered(handle, texts(handle:headers())) end
"""


def _access_log() -> dict[str, Any]:
    config = {
        "@type": f"{TYPES}.extensions.access_loggers.file.v3.FileAccessLog",
        "path": ACCESS_LOG,
        "log_format": {"json_format": access_log_format()},
    }
    return {"name": "envoy.access_loggers.file", "typed_config": config}


# What the journal says


def records(spool: Path) -> list[dict[str, Any]]:
    """Everything in the segments of one incarnation, or of all below `spool`."""
    found = []
    for segment in sorted(spool.rglob("*.spool")):
        payloads, _, problem = frames(segment.read_bytes())
        assert problem is None, (segment, problem)
        found += [msgpack.unpackb(payload) for payload in payloads if payload != END]
    return found


async def get(port: int, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
    """One call on a connection of its own: status, and everything behind the headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", "host: test", "connection: close", *headers]
    if body:
        lines.append(f"content-length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    answer = await reader.read()
    writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), rest
