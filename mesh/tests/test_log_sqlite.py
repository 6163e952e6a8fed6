"""What the log in SQLite does when its files or its disk fail: it says so, keeps nothing by halves, and repairs nothing in silence."""

import asyncio
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh.errors import ConcurrentAppend, LogUnavailable, UnreadableEvent
from mesh.log import group_commit
from mesh.log.port import Commit, Position, Produced
from mesh.log.sqlite import SqliteLog
from mesh.log.sqlite_file import Append
from mesh.tests.commits import call, commit


async def written(directory: Path, commits: int = 3) -> Path:
    log = await SqliteLog.open(directory)
    for number in range(commits):
        await log.append("mesh", commit(f"m{number}"))
        await log.append("calls/edge", commit(f"c{number}", call("x")))
    await log.close()
    return directory


def run(program: str, *arguments: str) -> str:
    """What a process of its own prints: limits and filters hold for a whole process, and stay."""
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments], capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def test_calls_and_configuration_are_kept_in_files_of_their_own(tmp_path: Path) -> None:
    await written(tmp_path)
    with sqlite3.connect(tmp_path / "mesh.db") as mesh, sqlite3.connect(tmp_path / "calls.db") as calls:
        assert mesh.execute("SELECT DISTINCT stream FROM commits").fetchall() == [("mesh",)]
        assert calls.execute("SELECT DISTINCT stream FROM commits").fetchall() == [("calls/edge",)]


async def test_nobody_but_its_owner_may_read_the_log(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path / "log")
    await log.append("calls/edge", commit("c1", call("x")))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "log").iterdir()}
    await log.close()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert {"mesh.db", "calls.db", "calls.db-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def test_the_log_has_one_owner_at_a_time(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    with pytest.raises(LogUnavailable, match=r"owned by another process \(\d+\); end that one first"):
        await SqliteLog.open(tmp_path)
    await log.close()
    await (await SqliteLog.open(tmp_path)).close()


async def test_an_owner_that_closed_the_log_leaves_no_lock_behind(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    assert (tmp_path / "owner.lock").exists()
    await log.close()
    assert not (tmp_path / "owner.lock").exists()


async def test_owners_take_turns_however_closely_they_follow(tmp_path: Path) -> None:
    """Never two at once, though each takes the lock's file away."""
    inside = 0

    async def own() -> None:
        nonlocal inside
        for _ in range(20):
            try:
                log = await SqliteLog.open(tmp_path)
            except LogUnavailable:
                await asyncio.sleep(0.001)
                continue
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1
            await log.close()

    await asyncio.gather(*(own() for _ in range(4)))


async def test_an_owner_that_was_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    program = """
        import asyncio, os, pathlib, signal, sys
        from mesh.log.sqlite import SqliteLog
        async def main():
            await SqliteLog.open(pathlib.Path(sys.argv[1]))
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], timeout=30)
    assert killed.returncode == -9
    await (await SqliteLog.open(tmp_path)).close()


async def test_closing_finishes_the_appends_that_wait(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    appends = [asyncio.create_task(log.append("mesh", commit())) for _ in range(100)]
    await asyncio.sleep(0)  # all of them wait now
    await log.close()
    assert await asyncio.gather(*appends) == list(range(1, 101))


async def test_appends_that_wait_together_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await SqliteLog.open(tmp_path)
    batches: list[int] = []
    write = log._mesh.file.write

    def counted(appends: Sequence[Append]) -> list[Position | ConcurrentAppend]:
        batches.append(len(appends))
        return write(appends)

    monkeypatch.setattr(log._mesh.file, "write", counted)
    await asyncio.gather(*(log.append("mesh", commit()) for _ in range(200)))
    await log.close()
    assert sum(batches) == 200
    assert len(batches) < 20


@pytest.mark.parametrize(("limit", "value"), [("WAITING_MAX", 10), ("WAITING_BYTES_MAX", 2_000)])
async def test_a_queue_that_is_full_is_said_and_not_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(group_commit, limit, value)
    log = await SqliteLog.open(tmp_path)
    outcomes = await asyncio.gather(*(log.append("mesh", commit()) for _ in range(500)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, LogUnavailable)]
    assert refused
    assert "wait for the disk" in str(refused[0])
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == list(range(1, 501 - len(refused)))
    assert await log.append("mesh", commit()) == 501 - len(refused)
    await log.close()


async def test_a_caller_who_was_cancelled_harms_nobody_else(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    appends = [asyncio.create_task(log.append("mesh", commit(str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    appends[3].cancel()
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 19
    await log.close()


# Damage


@pytest.mark.parametrize("name", ["mesh.db", "calls.db"])
async def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path, name: str) -> None:
    (await written(tmp_path) / name).write_bytes(b"no database at all" * 500)
    with pytest.raises(
        LogUnavailable, match=rf"{name} is damaged or no log at all .*put a copy of it back, or move it"
    ):
        await SqliteLog.open(tmp_path)
    assert (tmp_path / name).read_bytes().startswith(b"no database")


async def test_a_file_whose_pages_are_garbled_is_refused(tmp_path: Path) -> None:
    file = await written(tmp_path, commits=50) / "mesh.db"
    raw = bytearray(file.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    file.write_bytes(raw)
    with pytest.raises(LogUnavailable, match=r"mesh\.db is damaged"):
        await SqliteLog.open(tmp_path)


async def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mesh.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    before = (tmp_path / "mesh.db").read_bytes()
    with pytest.raises(LogUnavailable, match=r"mesh\.db is a database of another program"):
        await SqliteLog.open(tmp_path)
    assert (tmp_path / "mesh.db").read_bytes() == before


async def test_a_file_of_a_newer_meshlog_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(await written(tmp_path) / "mesh.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(LogUnavailable, match="written by a newer meshlog"):
        await SqliteLog.open(tmp_path)


@pytest.mark.parametrize("empty", [True, False])
async def test_a_lost_file_is_not_replaced_by_an_empty_one_in_silence(tmp_path: Path, empty: bool) -> None:
    (await written(tmp_path) / "mesh.db").unlink()
    if empty:
        (tmp_path / "mesh.db").touch()
    with pytest.raises(LogUnavailable, match=r"mesh\.db is missing or empty, though calls\.db"):
        await SqliteLog.open(tmp_path)


async def test_a_lost_file_whose_wal_is_still_there_is_not_begun_anew(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path / "log")
    await log.append("mesh", commit())
    shutil.copytree(tmp_path / "log", tmp_path / "copy")  # as a kill would leave it: the WAL is not emptied
    await log.close()
    (tmp_path / "copy" / "mesh.db").unlink()
    (tmp_path / "copy" / "calls.db").unlink()
    with pytest.raises(LogUnavailable, match=r"mesh\.db-wal holds commits of it"):
        await SqliteLog.open(tmp_path / "copy")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE commits SET record = CAST(substr(record, 2) || x'00' AS BLOB) WHERE position = 2",
        "UPDATE commits SET record = 'text' WHERE position = 2",
        "UPDATE commits SET (checksum, record) = (SELECT checksum, record FROM commits WHERE position = 1)"
        " WHERE position = 2",
    ],
)
async def test_a_record_that_was_changed_or_moved_is_noticed_when_it_is_read(tmp_path: Path, damage: str) -> None:
    with sqlite3.connect(await written(tmp_path, commits=3) / "mesh.db") as file:
        file.executescript(damage)
    log = await SqliteLog.open(tmp_path)
    with pytest.raises(UnreadableEvent, match=r"position \d of mesh in .*mesh\.db is damaged: its checksum differs"):
        await log.read("mesh")
    await log.close()


async def test_a_commit_that_is_missing_between_others_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    with sqlite3.connect(await written(tmp_path) / "mesh.db") as file:
        file.execute("DELETE FROM commits WHERE position = 2")
    log = await SqliteLog.open(tmp_path)
    with pytest.raises(UnreadableEvent, match=r"position 2 of mesh is missing in .*mesh\.db"):
        await log.read("mesh")
    await log.close()


async def test_damage_at_the_end_of_a_stream_is_noticed_at_once(tmp_path: Path) -> None:
    with sqlite3.connect(await written(tmp_path) / "calls.db") as file:
        file.execute("UPDATE commits SET record = x'00' WHERE position = 3")
    with pytest.raises(UnreadableEvent, match=r"position 3 of calls/edge .* is damaged"):
        await SqliteLog.open(tmp_path)
    await (await SqliteLog.open(tmp_path / "elsewhere")).close()


@pytest.mark.parametrize("garbled", [False, True])
@pytest.mark.parametrize("lost_bytes", [1, 100, 3_000, 9_000])
async def test_a_torn_end_of_the_wal_costs_only_what_stood_there(
    tmp_path: Path, lost_bytes: int, garbled: bool
) -> None:
    log = await SqliteLog.open(tmp_path / "log")
    for number in range(30):
        await log.append("mesh", commit(str(number)))
    shutil.copytree(tmp_path / "log", tmp_path / "killed")
    await log.close()
    wal = tmp_path / "killed" / "mesh.db-wal"
    whole = wal.read_bytes()
    wal.write_bytes(whole[:-lost_bytes] + (b"\xa5" * lost_bytes if garbled else b""))
    log = await SqliteLog.open(tmp_path / "killed")
    kept = await log.read("mesh")
    assert [entry.commit.id for entry in kept] == [str(number) for number in range(len(kept))]
    assert 30 - 1 - lost_bytes // 4_000 <= len(kept) <= 29  # at least one frame of 4 kB for each commit
    assert await log.append("mesh", commit("after")) == len(kept) + 1
    await log.close()


# The disk


FULL_DISK = """
    import asyncio, pathlib, resource, sys
    from mesh.errors import LogUnavailable
    from mesh.log.port import Produced
    from mesh.log.sqlite import SqliteLog
    from mesh.tests.commits import call, commit

    def room(kib):  # how large a file may become; the system says EFBIG beyond
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024 if kib else hard, hard))

    async def main():
        log = await SqliteLog.open(pathlib.Path(sys.argv[1]))
        room(64)
        kept, refused = [], 0
        for number in range(60):
            big = commit(f"c{number}", *(call("x" * 100) for _ in range(20)))
            try:
                await log.append("calls/edge", big, produced=Produced("spool", number + 1))
                kept.append(big.id)
            except LogUnavailable as error:
                refused, said = refused + 1, str(error)
                assert await log.head("calls/edge") == len(kept)
                assert await log.offset("calls/edge", "spool") == int(kept[-1][1:]) + 1
        assert kept and refused, (kept, refused)
        assert "is the disk full" in said, said
        room(None)
        await log.append("calls/edge", commit("after"))
        assert [entry.commit.id for entry in await log.read("calls/edge")] == [*kept, "after"]
        await log.close()
        log = await SqliteLog.open(pathlib.Path(sys.argv[1]))
        assert [entry.commit.id for entry in await log.read("calls/edge")] == [*kept, "after"]
        await log.close()
        print("kept", len(kept), "refused", refused)

    asyncio.run(main())
"""


def test_a_full_disk_is_said_keeps_nothing_and_appends_work_again_when_there_is_room(tmp_path: Path) -> None:
    assert run(FULL_DISK, str(tmp_path)).startswith("kept ")


async def test_a_database_that_may_not_grow_is_a_full_disk_too(tmp_path: Path) -> None:
    log = await SqliteLog.open(tmp_path)
    await log.append("mesh", commit("small"))
    log._mesh.file._writer.execute("PRAGMA max_page_count = 10")
    big = Commit("big", "", "test", "x" * 100_000, 1, commit().events)
    with pytest.raises(LogUnavailable, match="is the disk full or failing"):
        await log.append("mesh", big)
    assert await log.head("mesh") == 1
    log._mesh.file._writer.execute("PRAGMA max_page_count = 1000000")
    assert await log.append("mesh", big) == 2
    await log.close()


def test_a_directory_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LogUnavailable, match=r"log's directory .*file/log cannot be used: Not a directory"):
        asyncio.run(SqliteLog.open(tmp_path / "file" / "log"))


FAILING_FSYNC = """
    import asyncio, ctypes, pathlib, platform, struct, sys
    from mesh.errors import LogUnavailable
    from mesh.log.sqlite import SqliteLog
    from mesh.tests.commits import commit

    def fail_fdatasync():  # from now on, by a system call filter: EIO
        number = {"x86_64": 75, "aarch64": 83}[platform.machine()]
        load_number, equal, give = 0x20, 0x15, 0x06  # BPF: load word, jump if equal, return
        code = [(load_number, 0, 0, 0), (equal, 0, 1, number), (give, 0, 0, 0x00050005), (give, 0, 0, 0x7FFF0000)]
        raw = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
        program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(raw)))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        # seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC): the thread that writes runs already
        if libc.syscall({"x86_64": 317, "aarch64": 277}[platform.machine()], 1, 1, program) != 0:
            print("no seccomp here")
            sys.exit()

    async def main():
        log = await SqliteLog.open(pathlib.Path(sys.argv[1]))
        await log.append("mesh", commit())
        fail_fdatasync()
        for _ in range(2):
            try:
                await log.append("mesh", commit())
                print("appended")
            except LogUnavailable as error:
                print(error)

    asyncio.run(main())
"""


def test_after_a_disk_that_failed_to_sync_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    said = run(FAILING_FSYNC, str(tmp_path))
    if "no seccomp" in said:
        pytest.skip("this system lets nobody filter system calls")
    assert said.count("the disk failed while") == 2, said
    assert "appended" not in said


async def test_a_file_that_another_program_has_locked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = await SqliteLog.open(tmp_path)
    log._mesh.file._writer.execute("PRAGMA busy_timeout = 50")
    with sqlite3.connect(tmp_path / "mesh.db", isolation_level=None) as browser:
        browser.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match=r"another program has locked .*mesh\.db"):
            await log.append("mesh", commit())
        browser.execute("ROLLBACK")
    assert await log.append("mesh", commit(), produced=Produced("p", 1)) == 1
    await log.close()
