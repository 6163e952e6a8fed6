"""Processes that tests talk to: our sink, and a real Jaeger."""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from observability.tests.made import free_port


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[str]
    grpc: str  # host:port of OTLP/gRPC
    http: str  # http://host:port, where traces are asked for
    otlp_http: str = ""  # host:port of OTLP/HTTP, where that is another


@contextlib.contextmanager
def a_sink(*options: str) -> Iterator[Running]:
    grpc, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "observability.sink", "--grpc", grpc, "--http", http, *options]
    with _process(command) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("taking spans in")
        yield Running(process, grpc, f"http://{http}")


@contextlib.contextmanager
def a_jaeger() -> Iterator[Running]:
    grpc, query = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    otlp_http = f"127.0.0.1:{free_port()}"
    elsewhere = (
        "admin.http collector.grpc-server collector.http-server query.grpc-server http-server"
        " processor.jaeger-binary.server processor.jaeger-compact.server processor.zipkin-compact.server"
    )
    options = [
        f"--{name}{'-' if name.startswith('processor') else '.'}host-port=127.0.0.1:{free_port()}"
        for name in elsewhere.split()
    ]
    options += [
        "--collector.otlp.enabled",
        f"--collector.otlp.grpc.host-port={grpc}",
        f"--collector.otlp.http.host-port={otlp_http}",
        f"--query.http-server.host-port={query}",
    ]
    with _process(["jaeger-all-in-one", "--log-level=error", *options]) as process:
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://{query}/api/services")
                break
            time.sleep(0.05)
        yield Running(process, grpc, f"http://{query}", otlp_http)
        process.kill()  # it keeps nothing, and takes five seconds to end by itself


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            errors.seek(0)
            sys.stderr.write(errors.read())
