"""Writes everything that is generated and checked in: stubs, descriptor sets, Envoy's messages. `make generate` runs this.

what is written                                  from
services/stubs/pspd_pb2.py, .pyi, _pb2_grpc.py   proto/pspd.proto
services/stubs/pspd.binpb                        the same with its imports: what the edge transcodes by and reflects
services/stubs/echo_pb2.py, ..., echo.binpb      proto/echo.proto, the same way
mesh/control/stubs/control_pb2.py, ...           proto/meshlog/control.proto
mesh/xds/envoy.binpb                             the xds-protos wheel, in a throw-away environment

Rules: the same inputs give the same bytes; mesh/tests/test_generated.py proves that what is checked in is what this writes.
The `-I place=proto` form makes `services.stubs.pspd_pb2` importable while the protobuf package stays `pspd`.
"""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

from mesh.cli import collect_envoy

SOURCE = Path(__file__).parents[2]
XDS_PROTOS = (
    "xds-protos==1.85.0"  # the messages of Envoy 1.40 and before; pinned, so that the bytes are the same tomorrow
)
WRITTEN = (
    "services/stubs/pspd_pb2.py",
    "services/stubs/pspd_pb2.pyi",
    "services/stubs/pspd_pb2_grpc.py",
    "services/stubs/pspd.binpb",
    "services/stubs/echo_pb2.py",
    "services/stubs/echo_pb2.pyi",
    "services/stubs/echo_pb2_grpc.py",
    "services/stubs/echo.binpb",
    "mesh/control/stubs/control_pb2.py",
    "mesh/control/stubs/control_pb2.pyi",
    "mesh/control/stubs/control_pb2_grpc.py",
    "mesh/xds/envoy.binpb",
)


def generate(root: Path) -> list[Path]:
    """Write it all below `root`, as in a checkout, and return what was written. Raises: CalledProcessError."""
    written = [root / name for name in WRITTEN]
    for file in written:
        file.parent.mkdir(parents=True, exist_ok=True)
    for contract in ("pspd", "echo"):
        described = root / f"services/stubs/{contract}.binpb"
        whole = (f"--descriptor_set_out={described}", "--include_imports")
        _protoc(root, "services/stubs", "proto", f"{contract}.proto", *whole)
    _protoc(root, "mesh/control/stubs", "proto/meshlog", "control.proto")
    collect_envoy_messages(root / "mesh/xds/envoy.binpb")
    return written


def collect_envoy_messages(target: Path) -> None:
    """Run mesh/cli/collect_envoy.py where xds-protos is installed and nothing of ours can be harmed by it."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise FileNotFoundError(f"{uv} is missing: `make generate` installs it")
    protobuf = f"protobuf=={importlib.metadata.version('protobuf')}"  # ours: another one may order bytes differently
    place = ["--isolated", "--no-project", "--python", sys.executable, "--with", XDS_PROTOS, "--with", protobuf]
    script = collect_envoy.__file__
    subprocess.run([uv, "run", "--quiet", *place, "python", script, target], check=True, cwd=target.parent)


def _protoc(root: Path, package: str, folder: str, file: str, *more: str) -> None:
    """Stubs of SOURCE/folder/file into root/package."""
    includes = [f"-I{package}={SOURCE / folder}", f"-I{_google_protos()}"]
    outputs = [f"--{kind}_out={root}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *outputs, *more, f"{package}/{file}"]
    subprocess.run(command, check=True)


def _google_protos() -> Path:
    """The folder below which googleapis-common-protos keeps google/api/*.proto."""
    spec = importlib.util.find_spec("google.api")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("googleapis-common-protos is not installed")
    return Path(next(iter(spec.submodule_search_locations))).parents[1]


if __name__ == "__main__":
    for file in generate(SOURCE):
        print(file.relative_to(SOURCE))  # noqa: T201 - what `make generate` says
