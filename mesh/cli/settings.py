"""What the environment says. Only the composition root and `__main__` modules read it.

MESHLOG_HOME            where meshes keep their things (default: $XDG_STATE_HOME/meshlog, ~/.local/state/meshlog)
MESHLOG_NAME            the mesh that commands mean (default: default)
OTEL_EXPORTER_OTLP_*    where spans go instead of the mesh's own sink
OTEL_TRACES_SAMPLER_ARG the share of calls that are traced
"""

import functools
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mesh.errors import SubstrateError
from mesh.substrates.laptop.places import Places, places

Function = TypeVar("Function", bound=Callable[..., Any])

# what a child gets of our environment: enough to run, and nothing that changes what Python imports
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


def mesh_places(name: str) -> Places:
    """Raises: SubstrateError."""
    home = os.environ.get("MESHLOG_HOME") or _state_home() / "meshlog"
    try:
        return places(Path(home).expanduser(), name)
    except OSError:  # what is relative begins where we are, and that place was removed
        raise SubstrateError(
            f"there is no directory here any more to find {home} from; change to another one"
        ) from None


def _state_home() -> Path:
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state)
    try:
        own = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise SubstrateError("nobody says where your home is; set MESHLOG_HOME to a directory of yours") from None
    return Path(own) / ".local" / "state"


def child_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # names of the folders are common words: a hostile services/ where the mesh was started must not be imported
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def telemetry_environment() -> dict[str, str]:
    """The standard OTEL_* variables. They may hold secrets (headers): they go to the workloads, never to the log."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


def actor() -> str:
    """Who gives commands: the login name, for the log."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or f"uid {os.getuid()}"


def mesh_options(function: Function) -> Function:
    """The options that every command has: --name and --json."""

    @click.option("--name", default="default", envvar="MESHLOG_NAME", show_default=True, help="Which mesh.")
    @click.option("--json", "as_json", is_flag=True, help="For programs: JSON on stdout.")
    @functools.wraps(function)
    def wrapped(*args: Any, name: str, as_json: bool, **kwargs: Any) -> Any:
        return function(*args, mesh=mesh_places(name), as_json=as_json, **kwargs)

    return wrapped  # type: ignore[return-value]
