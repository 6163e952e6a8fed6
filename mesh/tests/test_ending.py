"""Ending processes: all that is ours, and nothing else on the machine."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mesh.substrates.laptop.ending import clear, end, ended, how_ended
from mesh.substrates.laptop.processes import Spec, find, remains, start
from mesh.tests.meshes import until_async

FOREVER = "import time; time.sleep(600)"
IGNORES_SIGTERM = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
FORKS = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {FOREVER!r}])
subprocess.Popen([sys.executable, "-c", {FOREVER!r}], start_new_session=True)
time.sleep(600)
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for process in remains(tmp_path):
        process.kill()


def begin(run: Path, code: str, name: str = "w") -> psutil.Process:
    spec = Spec(name, "workload", (sys.executable, "-c", code), run, run / f"{name}.log", surroundings=dict(os.environ))
    return start(spec, "test", run)


async def test_nothing_is_signalled_where_nothing_is_ours(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container, everybody who was started from outside has the session 0: a number must never stand for a process."""
    signalled: list[object] = []
    for owner, name in ((os, "kill"), (os, "killpg"), (psutil.Process, "send_signal"), (psutil.Process, "terminate")):
        monkeypatch.setattr(owner, name, lambda *told: signalled.append(told))
    for name in ("kill", "resume"):
        monkeypatch.setattr(psutil.Process, name, lambda *told: signalled.append(told))
    await clear(run, "w")
    await clear(run, "")
    assert signalled == []


async def test_a_stranger_is_left_alone(run: Path) -> None:
    """Of the same user, of the same session as we, and even in our directory."""
    with subprocess.Popen([sys.executable, "-c", FOREVER], cwd=run) as stranger:
        ours = begin(run, FOREVER)
        await end(ours, 5)
        await clear(run, "w")
        assert stranger.poll() is None
        stranger.kill()


async def test_children_of_a_workload_are_ended_with_it_even_in_a_session_of_their_own(run: Path) -> None:
    parent = begin(run, FORKS)
    other = begin(run, FOREVER, "other")
    await until_async(lambda: len(remains(run, "w")) == 3)
    assert [found.name for found in find(run)] == ["w", "other"]  # what a workload starts is no process of the mesh
    parent.kill()
    await ended(parent)
    await clear(run, "w")
    assert remains(run, "w") == []
    assert not how_ended(other)


async def test_who_ignores_sigterm_is_killed_when_its_time_is_over(run: Path) -> None:
    deaf = begin(run, IGNORES_SIGTERM)
    await until_async(lambda: (run / "w.log").read_text() != "")
    begun = time.monotonic()
    await end(deaf, 0.5)
    assert how_ended(deaf)
    assert 0.4 < time.monotonic() - begun < 3


async def test_who_is_stopped_still_hears_that_it_must_end(run: Path) -> None:
    stopped = begin(run, FOREVER)
    stopped.suspend()
    begun = time.monotonic()
    await end(stopped, 10)
    assert time.monotonic() - begun < 3


async def test_an_end_is_noticed_at_once_and_told(run: Path) -> None:
    process = begin(run, "import time; time.sleep(0.3); raise SystemExit(7)")
    assert await ended(process, 0.05) == ""
    assert await ended(process) == "exited with status 7"
    killed = begin(run, FOREVER)
    killed.kill()
    assert await ended(killed) == "was killed by SIGKILL"


async def test_an_end_of_a_process_that_is_not_our_child_is_noticed_too(run: Path) -> None:
    command = [sys.executable, "-c", FOREVER]
    starter = f"import subprocess; print(subprocess.Popen({command}, stdout=subprocess.DEVNULL).pid)"
    pid = int(subprocess.run([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True, check=True).stdout)
    orphan = psutil.Process(pid)
    waiting = asyncio.create_task(ended(orphan))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    orphan.kill()
    assert await asyncio.wait_for(waiting, 2)
