"""The load generator of the comparison: Locust's master in a process of its own, and its workers.

    python -m loadtests.generator.master --workers 2 [--bind 0.0.0.0 --port 5557 --remote-workers 4]

Spoken to in lines of JSON on stdin, each answered by one on stdout (loadtests/generator/client.py is the other side):

    {"do": "start", "cell": …, "host": …, "sampled_percent": …}    users run; answers {"running": users}
    {"do": "begin"}                  the window begins, on every worker; {"begun": workers}
    {"do": "end"}                    the window ends; {"measured": [what each worker's Recorder says]}
    {"do": "stop"}                   users are stopped; {"stopped": true}

Rules: workers are plain `locust --worker` processes with our locustfile, so those of other machines join the same way. What
goes wrong is answered {"failed": reason}. The end of stdin ends everything: no generator outlives who started it.
"""

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent import event, fileobject
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.runners import MasterRunner

from loadtests.model.cells import Cell
from loadtests.users.options import options_for
from loadtests.users.paths import USERS

LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
JOIN_SECONDS = 30.0  # until the workers of this machine are there
ANSWER_SECONDS = 15.0  # of every worker, when a window begins or ends
SPAWN_SECONDS = 30.0
STOP_SECONDS = 10.0


class GeneratorFailed(Exception):
    """The sentence goes to whoever asked."""


class Generator:
    def __init__(self, runner: MasterRunner, workers: int) -> None:
        self._runner = runner
        self._workers = workers
        self._answers: list[Any] = []
        self._expected = workers
        self._answered = event.Event()
        for kind in ("begun", "measured"):
            runner.register_message(kind, self._hear)

    def join(self, seconds: float) -> int:
        """Wait for the workers; how many there are. Raises: GeneratorFailed."""
        with gevent.Timeout(seconds, GeneratorFailed(f"{self._runner.worker_count} of {self._workers} workers joined")):
            while self._runner.worker_count < self._workers:
                gevent.sleep(0.05)
        return int(self._runner.worker_count)

    def start(self, cell: Cell, host: str, sampled_percent: float) -> int:
        """Raises: GeneratorFailed."""
        environment = self._runner.environment
        environment.host = host
        vars(environment.parsed_options).update(options_for(cell, sampled_percent=sampled_percent))
        with gevent.Timeout(SPAWN_SECONDS, GeneratorFailed(f"{cell.users} users did not start in {SPAWN_SECONDS:g} s")):
            self._runner.start(cell.users, spawn_rate=cell.users, user_classes=[USERS[cell.path]])
            while self._runner.user_count != cell.users:  # workers that are busy tell a little later
                gevent.sleep(0.02)
        return cell.users

    def begin(self) -> int:
        return len(self._ask("begin"))

    def end(self) -> list[Any]:
        return self._ask("end")

    def stop(self) -> None:
        with gevent.Timeout(STOP_SECONDS, GeneratorFailed(f"the users did not stop in {STOP_SECONDS:g} s")):
            self._runner.stop()
            while self._runner.user_count:
                gevent.sleep(0.02)

    def _ask(self, what: str) -> list[Any]:
        """Ask every worker; what they answer."""
        self._answers, self._expected = [], self._runner.worker_count
        self._answered.clear()
        self._runner.send_message(what)
        if not self._answered.wait(ANSWER_SECONDS):
            raise GeneratorFailed(f"{len(self._answers)} of {self._expected} workers answered in {ANSWER_SECONDS:g} s")
        return self._answers

    def _hear(self, environment: Any, msg: Any, **_: Any) -> None:
        self._answers.append(msg.data)
        if len(self._answers) >= self._expected:
            self._answered.set()


def answer(generator: Generator, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        match asked.get("do"):
            case "start":
                cell = msgspec.convert(asked["cell"], Cell)
                return {"running": generator.start(cell, asked["host"], asked["sampled_percent"])}
            case "begin":
                return {"begun": generator.begin()}
            case "end":
                return {"measured": generator.end()}
            case "stop":
                generator.stop()
                return {"stopped": True}
            case unknown:
                return {"failed": f"a generator cannot {unknown!r}"}
    except GeneratorFailed as error:
        return {"failed": str(error)}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.generator.master")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--remote-workers", type=int, default=0)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    usual = get_parser(default_config_files=[]).parse_args([])  # what Locust's own code asks of its options
    environment = Environment(user_classes=list(USERS.values()), parsed_options=usual)
    runner = environment.create_master_runner(given.bind, given.port)
    workers = [_worker(given.port) for _ in range(given.workers)]
    generator = Generator(runner, given.workers + given.remote_workers)
    try:
        join_seconds = JOIN_SECONDS if not given.remote_workers else 600.0
        try:
            _say({"ready": generator.join(join_seconds), "pids": [worker.pid for worker in workers]})
        except GeneratorFailed as error:
            _say({"failed": str(error)})
            return 1
        for line in fileobject.FileObject(sys.stdin.buffer, "rb"):
            _say(answer(generator, json.loads(line)))
    finally:
        runner.quit()
        for worker in workers:
            _end(worker)
    return 0


def _worker(port: int) -> "subprocess.Popen[bytes]":
    command = ["-m", "locust", "-f", str(LOCUSTFILE), "--worker", "--master-host", "127.0.0.1"]
    return subprocess.Popen(
        [sys.executable, *command, "--master-port", str(port), "--loglevel", "ERROR"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _end(worker: "subprocess.Popen[bytes]") -> None:
    """A worker ends by itself when the master says so; one that does not is ended."""
    try:
        worker.wait(3)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait(3)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
