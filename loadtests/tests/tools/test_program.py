"""A program is run to its end, or to ours: never beyond its time, and what it cost is known."""

import select
import sys
import time
from pathlib import Path

import psutil
import pytest

from loadtests.agreement.tools.program import run
from loadtests.agreement.tools.result import ToolFailed

FOR_EVER = "import pathlib, os, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"


def test_what_it_printed_and_the_cpu_time_it_took_are_known() -> None:
    busy = "import sys, time\nwhile time.process_time() < 0.5: pass\nprint('out'); print('err', file=sys.stderr)"
    ended = run([sys.executable, "-c", busy], limit_seconds=60)
    assert (ended.status, ended.stdout, ended.stderr) == (0, "out\n", "err\n")
    assert 0.5 <= ended.cpu_seconds < 5
    assert 0 < ended.machine_busy <= 1


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ToolFailed, match="still running after 3 s"):
        run([sys.executable, "-c", FOR_EVER, str(pid)], limit_seconds=3)
    assert not psutil.pid_exists(int(pid.read_text()))


def test_one_that_ends_with_an_error_is_quoted() -> None:
    with pytest.raises(ToolFailed, match="ended with 3; it said: no such host"):
        run(
            [sys.executable, "-c", "import sys; print('no such host', file=sys.stderr); sys.exit(3)"],
            limit_seconds=60,
            good=(0,),
        )


def test_it_is_ended_when_we_are_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"

    def interrupted(*_: object) -> None:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(select, "select", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", FOR_EVER, str(pid)], limit_seconds=60)
    assert not psutil.pid_exists(int(pid.read_text()))


def test_settings_in_the_environment_that_are_meant_for_k6s_users_do_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K6_VUS", "1")
    ended = run([sys.executable, "-c", "import os; print('K6_VUS' in os.environ)"], limit_seconds=60)
    assert ended.stdout == "False\n"
