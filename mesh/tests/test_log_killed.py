"""The log's process is killed at random, round after round over one directory: what it acknowledged is there."""

import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from mesh.log.port import Log
from mesh.log.sqlite import SqliteLog

ROUNDS = 6
STREAMS = ("mesh", "calls/edge", "nodes/edge")
APPENDER = """
    import asyncio, pathlib, sys
    from mesh.log.port import Produced
    from mesh.log.sqlite import SqliteLog
    from mesh.tests.commits import call, commit

    async def append(log, stream, lane):
        producer = f"lane{lane}"
        offset = await log.offset(stream, producer)
        while True:
            offset += 1
            name = f"{producer}/{offset}"
            position = await log.append(stream, commit(name, call(name)), produced=Produced(producer, offset))
            sys.stdout.write(f"{stream} {position} {name}\\n")  # acknowledged
            sys.stdout.flush()

    async def main():
        log = await SqliteLog.open(pathlib.Path(sys.argv[1]))
        await asyncio.gather(*(append(log, stream, lane) for stream in sys.argv[2:] for lane in range(4)))

    asyncio.run(main())
"""


async def test_every_acknowledged_commit_survives_being_killed_at_random(tmp_path: Path) -> None:
    acknowledged: dict[tuple[str, int], str] = {}
    for number in range(ROUNDS):
        for line in _killed_appender(tmp_path / "log", after_seconds=random.uniform(0.02, 0.4)):
            stream, position, name = line.split()
            assert acknowledged.setdefault((stream, int(position)), name) == name, f"round {number}: given out twice"
        log = await SqliteLog.open(tmp_path / "log")
        await _check(log, acknowledged)
        await log.close()
    assert len(acknowledged) > 100


async def _check(log: Log, acknowledged: dict[tuple[str, int], str]) -> None:
    kept = {(entry.stream, entry.position): entry.commit.id for entry in await log.read("")}
    missing = {place: name for place, name in acknowledged.items() if kept.get(place) != name}
    assert not missing
    for stream in STREAMS:
        positions = [position for of, position in kept if of == stream]
        assert positions == list(range(1, len(positions) + 1)), f"{stream} has gaps"
        names = [name for (of, _), name in kept.items() if of == stream]
        assert len(set(names)) == len(names), f"{stream} holds something twice"
        for lane in range(4):
            offsets = [int(name.split("/")[1]) for name in names if name.startswith(f"lane{lane}/")]
            assert offsets == list(range(1, len(offsets) + 1))  # nothing skipped, nothing out of order
            assert await log.offset(stream, f"lane{lane}") == len(offsets)


def _killed_appender(directory: Path, after_seconds: float) -> list[str]:
    """The lines of a process that appends as fast as it can, until it is killed so long after its first."""
    command = [sys.executable, "-c", textwrap.dedent(APPENDER), str(directory), *STREAMS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as appender:
        assert appender.stdout is not None
        assert appender.stderr is not None
        first = appender.stdout.readline()
        assert first, appender.stderr.read()
        lines = [first]
        deadline = time.monotonic() + after_seconds
        while time.monotonic() < deadline:
            lines.append(appender.stdout.readline())
        appender.kill()
        lines += appender.stdout.readlines()
    return [line for line in lines if line.endswith("\n")]  # the last may be torn


def test_two_processes_that_open_the_same_log_at_once_do_not_both_get_it(tmp_path: Path) -> None:
    program = """
        import asyncio, pathlib, sys
        from mesh.errors import LogUnavailable
        from mesh.log.sqlite import SqliteLog

        async def main():
            try:
                await SqliteLog.open(pathlib.Path(sys.argv[1]))
                print("owner", flush=True)
                sys.stdin.read()
            except LogUnavailable as error:
                print(error, flush=True)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.stdout.readline().strip() for process in started if process.stdout]
    for process in started:
        process.communicate()
    assert said.count("owner") == 1
    assert sum("is owned by another process" in line for line in said) == 2
