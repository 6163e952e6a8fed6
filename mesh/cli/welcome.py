"""What `make up` ends with: a call on each path, and lines to copy."""

import asyncio
import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import click

from mesh.events import Declaration, Route

_SECONDS = 10.0

# what makes the contract's own services answer something worth seeing
_QUERIES = {"/a/hello": "?name=Edilberto", "/b/numbers": "?count=10&delay_ms=200"}
_BODIES = {"/echo": '{"payload":"olá"}'}
_MESSAGES = {
    "pspd.ServiceA": ('{"name":"Edilberto"}', "SayHello"),
    "pspd.ServiceB": ('{"count":3}', "StreamNumbers"),
    "meshlog.bench.v1.Echo": (_BODIES["/echo"], "Echo"),
}


async def first_calls(declaration: Declaration) -> str | None:
    """Call A on the gRPC path and on the REST path; the trace id of the first."""
    ids = []
    for path, port in (("gRPC", declaration.edge.grpc_port), ("REST", declaration.edge.rest_port)):
        url = f"http://localhost:{port}/a/hello?{urlencode({'name': 'Edilberto'})}"
        answer, trace_id = await asyncio.to_thread(_get, url)
        click.echo(f"  {path:4} path  GET {url}\n             {answer}")
        ids.append(trace_id)
    return ids[0]


def _get(url: str) -> tuple[str, str]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # our own edge is behind no proxy
    with direct.open(url, timeout=_SECONDS) as answer:
        return json.dumps(json.load(answer), ensure_ascii=False), answer.headers.get("x-trace-id", "")


def lines_to_copy(mesh: str, declaration: Declaration, trace_id: str | None, *, made: bool) -> str:
    """`made`: by `make up`, so that `make down` ends it."""
    name = "" if mesh == "default" else f" --name {mesh}"
    meshlog = f"  {_command()}"
    lines = ["", "Copy:", *_curls(declaration), *_grpcurls(declaration)]
    lines += [f"{meshlog} status{name}", f"{meshlog} events{name} --stream calls"]
    lines += [f"{meshlog} {shift}{name}" for shift in _shifts(declaration)]
    if trace_id:
        lines.append(f"{meshlog} trace{name} {trace_id}")
    lines += [
        f"  http://localhost:{declaration.edge.grpc_port}/   (the page)",
        "  make down" if made else f"{meshlog} down{name}",
    ]
    return "\n".join(lines)


def _curls(declaration: Declaration) -> list[str]:
    edge, lines = declaration.edge, []
    for service in declaration.services.values():
        port = edge.grpc_port if service.protocol == "grpc" else edge.rest_port
        for route in service.routes:
            flags = ("-N " if route.streams else "") + _method_and_body(route)
            lines.append(f"  curl {flags}'localhost:{port}{route.path}{_QUERIES.get(route.path, '')}'")
    return lines


def _method_and_body(route: Route) -> str:
    if route.method == "POST" and route.path in _BODIES:
        return f"-d '{_BODIES[route.path]}' "
    return f"-X {route.method} " if route.method != "GET" else ""


def _grpcurls(declaration: Declaration) -> list[str]:
    grpcurl, edge = "  grpcurl -plaintext", f"localhost:{declaration.edge.grpc_port}"
    lines = [f"{grpcurl} {edge} list"]
    for service in declaration.services.values():
        for full_name in service.grpc_services:
            message, method = _MESSAGES.get(full_name, ("", ""))
            lines.append(
                f"{grpcurl} -d '{message}' {edge} {full_name}/{method}"
                if method
                else f"{grpcurl} {edge} describe {full_name}"
            )
    return lines


def _shifts(declaration: Declaration) -> list[str]:
    """For the first service that has two versions."""
    for name in declaration.services:
        versions = list(dict.fromkeys(w.version for w in declaration.workloads.values() if w.service == name))
        if len(versions) > 1:
            return [f"shift {name} {versions[0]}=90 {versions[1]}=10"]
    return []


def _command() -> str:
    """How this command is called here: by its name where that finds it, else by its path."""
    ours = Path(sys.argv[0])
    found = shutil.which("meshlog")
    return "meshlog" if found and Path(found).samefile(ours) else os.path.relpath(ours)
