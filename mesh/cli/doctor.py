"""`meshlog doctor`: what a mesh needs of this machine, asked before something fails for want of it."""

import importlib.metadata
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable

import click
import psutil

from mesh.cli.output import say_json
from mesh.cli.settings import mesh_options
from mesh.errors import SubstrateError
from mesh.substrates.laptop.inotify import require_instances
from mesh.substrates.laptop.places import Places
from mesh.substrates.laptop.ports import require_free
from mesh.substrates.laptop.processes import find
from mesh.substrates.laptop.specs import envoy_binary

_DEFAULT_PORTS = (8080, 8081, 9901, 4317, 4318)
_MEMORY_BYTES = 700 * 2**20
_DISK_BYTES = 1024 * 2**20
_FILES = 8_192  # 3,200 clients, and as many connections behind them
_ENVOYS = 6  # of the default mesh


@click.command()
@mesh_options
def command(mesh: Places, as_json: bool) -> None:
    """Can this machine run a mesh? The exit status is 1 if something necessary is missing."""
    results = [(name, *_result(check, mesh)) for name, check in _CHECKS.items()]
    if as_json:
        say_json([{"check": name, "ok": ok, "found": found} for name, ok, found in results])
    else:
        for name, ok, found in results:
            click.echo(f"{click.style('ok  ' if ok else 'FAIL', fg='green' if ok else 'red')}  {name:8}  {found}")
    if not all(ok for _, ok, _ in results):
        raise SystemExit(1)


def _result(check: Callable[[Places], str], mesh: Places) -> tuple[bool, str]:
    try:
        return True, check(mesh)
    except (SubstrateError, OSError, subprocess.SubprocessError) as error:
        return False, str(error)


def _python(_: Places) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("grpcio", "protobuf", "sanic"))
    return f"{sys.version.split()[0]}, {versions}"


def _envoy(_: Places) -> str:
    said = subprocess.run([str(envoy_binary()), "--version"], capture_output=True, text=True, timeout=20, check=True)
    return said.stdout.strip().rpartition("version: ")[2]


def _ports(mesh: Places) -> str:
    own = frozenset(found.process.pid for found in find(mesh.run))
    require_free([("127.0.0.1", port) for port in _DEFAULT_PORTS], own=own)
    return f"{', '.join(map(str, _DEFAULT_PORTS))} are {'ours' if own else 'free'}"


def _memory(_: Places) -> str:
    available = psutil.virtual_memory().available
    if available < _MEMORY_BYTES:
        raise SubstrateError(
            f"{available // 2**20} MiB are available; the default mesh takes up to {_MEMORY_BYTES // 2**20}"
        )
    return f"{available // 2**20} MiB available, {os.cpu_count()} processors"


def _disk(mesh: Places) -> str:
    mesh.make()
    free = shutil.disk_usage(mesh.state).free
    if free < _DISK_BYTES:
        raise SubstrateError(
            f"{free // 2**20} MiB are free at {mesh.state}; a mesh under load writes about 1 GiB an hour"
        )
    return f"{free // 2**20} MiB free at {mesh.state}"


def _files(_: Places) -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        raise SubstrateError(f"a process may have {hard} files open; 3,200 clients need {_FILES} (ulimit -Hn)")
    return f"up to {hard} open files"


def _inotify(mesh: Places) -> str:
    require_instances(0 if find(mesh.run) else _ENVOYS)  # a mesh that runs has them
    return f"enough inotify instances for {_ENVOYS} Envoys"


_CHECKS = {
    "python": _python,
    "envoy": _envoy,
    "ports": _ports,
    "memory": _memory,
    "disk": _disk,
    "files": _files,
    "inotify": _inotify,
}
