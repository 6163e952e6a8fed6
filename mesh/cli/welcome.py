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

from mesh.events import Declaration

_SECONDS = 10.0


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
    edge = declaration.edge
    name = "" if mesh == "default" else f" --name {mesh}"
    meshlog = _command()
    lines = [
        "",
        "Copy:",
        f"  curl 'localhost:{edge.grpc_port}/a/hello?name=Edilberto'                 # gRPC path, transcoded",
        f"  curl -N 'localhost:{edge.grpc_port}/b/numbers?count=10&delay_ms=200'     # a stream",
        f"  curl 'localhost:{edge.rest_port}/a/hello?name=Edilberto'                 # REST path",
        f"  grpcurl -plaintext localhost:{edge.grpc_port} list",
        f'  grpcurl -plaintext -d \'{{"name":"Edilberto"}}\' localhost:{edge.grpc_port} pspd.ServiceA/SayHello',
        f"  grpcurl -plaintext -d '{{\"count\":3}}' localhost:{edge.grpc_port} pspd.ServiceB/StreamNumbers",
        f"  {meshlog} status{name}",
        f"  {meshlog} events{name} --stream calls",
        f"  {meshlog} shift a v1=90 v2=10{name}",
    ]
    if trace_id:
        lines.append(f"  {meshlog} trace{name} {trace_id}")
    lines += [
        f"  http://localhost:{edge.grpc_port}/                              # the page",
        "  make down" if made else f"  {meshlog} down{name}",
    ]
    return "\n".join(lines)


def _command() -> str:
    """How this command is called here: by its name where that finds it, else by its path."""
    ours = Path(sys.argv[0])
    found = shutil.which("meshlog")
    return "meshlog" if found and Path(found).samefile(ours) else os.path.relpath(ours)
