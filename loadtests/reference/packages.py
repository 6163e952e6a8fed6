"""The gateways' packages, from npm's registry, once.

Rules: nothing is installed into the checkout; exactly what package-lock.json names, and no package's script is run. The folder
is named for the content that it was made from, and is there whole or not at all.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from loadtests.errors import PathUnusable

NPM_SECONDS: Final = 180

_HERE: Final = Path(__file__).parent
_FILES: Final = ("package.json", "package-lock.json", "gateway.js", "gateway_grpc.js", "gateway_rest.js")


class ReferenceUnavailable(PathUnusable):
    """The reference cannot be had here or now; the sentence says why, and what to do."""


def prepare(cache: Path) -> Path:
    """The folder below `cache` that holds the gateways and all they need; made by `npm ci` where it is not there yet.

    Raises: ReferenceUnavailable.
    """
    program("node")
    npm = program("npm")
    files = {name: (_HERE / name).read_bytes() for name in _FILES}
    folder = cache / f"reference-{hashlib.sha256(b''.join(files.values())).hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as scratch:
            building = Path(scratch) / "reference"
            building.mkdir()
            for name, content in files.items():
                (building / name).write_bytes(content)
            _install(npm, building, log=cache / "reference-npm.log")
            building.rename(folder)
    except OSError as error:
        if not folder.is_dir():  # it is there where somebody else was faster
            raise ReferenceUnavailable(f"{cache} cannot hold the reference's packages: {error}") from error
    return folder


def program(name: str) -> str:
    """The path of the program. Raises: ReferenceUnavailable."""
    if found := shutil.which(name):
        return found
    raise ReferenceUnavailable(f"{name} is not on PATH: the reference's gateways need Node.js 18 or newer with npm")


def _install(npm: str, folder: Path, log: Path) -> None:
    """The packages that package-lock.json names, exactly those; what npm says goes to `log`."""
    command = [npm, "ci", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]  # where there is no network it must say so soon
    with log.open("wb") as output:
        try:
            status = subprocess.run(
                command,
                check=False,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=NPM_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            raise ReferenceUnavailable(f"npm ci did not end within {NPM_SECONDS} s; see {log}") from None
    if status:
        said = re.search(r"^npm (?:error|ERR!) code (\S+)$", log.read_text(errors="replace"), re.MULTILINE)
        reason = said[1] if said else f"status {status}"
        raise ReferenceUnavailable(f"npm ci failed ({reason}); it needs npm's registry once, and said more in {log}")
