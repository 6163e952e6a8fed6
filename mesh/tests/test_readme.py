"""The README is true: its console lines are run against a real mesh, and what they print is what it shows."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.tests.meshes import Mesh, a_mesh
from mesh.tests.tools import require_tool

pytestmark = pytest.mark.mesh

README = (Path(__file__).parents[2] / "README.md").read_text()
PORTS = ("8080", "8081")


def sessions() -> list[tuple[str, str]]:
    """(command, what it printed) of every ```console block, in order."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = session.partition("\n")
            found.append((command, printed.strip()))
    return found


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    with a_mesh("default") as made:
        made.up()
        yield made


def run(mesh: Mesh, command: str) -> str:
    """As a user would type it, but for where this mesh listens, and for the trace, which is that of a call made just now."""
    for port in PORTS:
        command = command.replace(f"localhost:{port}", f"localhost:{int(port) + mesh.offset}")
    if command.startswith("meshlog trace"):
        answer = mesh.curl("/a/hello", "-D", "-", "-o", "/dev/null").stdout
        trace_id = re.search(r"x-trace-id: (\w+)", answer)
        assert trace_id
        command = f"meshlog trace {trace_id[1]}"
    if command.startswith("meshlog "):
        return mesh.meshlog(*command.split()[1:]).stdout
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def waterfall(drawn: str) -> list[str]:
    """The spans of a drawn trace, from the root down, without what no two calls have in common."""
    names = re.findall(r"^(?:edge| *└) .*?(?=  )", drawn, re.MULTILINE)
    return [re.sub(r"-v\d", "", name) for name in names]


@pytest.mark.parametrize(("command", "shown"), sessions(), ids=[command for command, _ in sessions()])
def test_what_the_readme_shows_is_what_happens(mesh: Mesh, command: str, shown: str) -> None:
    if command.startswith("grpcurl"):
        require_tool("grpcurl")
    printed = run(mesh, command)
    if command.startswith("meshlog trace"):
        assert waterfall(printed)[:5] == waterfall(shown)
        return
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"{command} printed:\n{printed}"


def test_the_readme_has_the_two_commands_on_its_first_screen() -> None:
    first_screen = "\n".join(README.splitlines()[:40])
    assert "make up" in first_screen
    assert "make test" in first_screen


def test_every_file_and_folder_that_the_readme_links_to_is_there() -> None:
    root = Path(__file__).parents[2]
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (root / link).exists()] == []
