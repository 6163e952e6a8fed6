"""`locust -f loadtests/locustfile.py`: users of every path, for Locust with or without its web UI.

    locust -f loadtests/locustfile.py GrpcPathUser --journey b        one path; names of classes choose it
    locust -f loadtests/locustfile.py --class-picker                  all paths, to be chosen in the web UI
    locust -f loadtests/locustfile.py,loadtests/shapes.py RestPathUser    the original report's ramp, 25 to 3,200 users

Where no class is chosen, GrpcPathUser walks alone, by its weight: two paths at once would compete for the same cores, and
neither figure would mean anything. Percentiles have three digits, down to the microsecond; Locust's own have whole milliseconds.
"""

import math
import sys
from pathlib import Path
from typing import Any

if (_root := str(Path(__file__).parents[1])) not in sys.path:  # run from a checkout that is not installed
    sys.path.append(_root)

import locust.stats
from locust import events
from locust.runners import WorkerRunner

from loadtests.generator.recording import Recorder
from loadtests.users.options import add_options
from loadtests.users.paths import (
    USERS,
    DirectGrpcUser,
    DirectRestUser,
    GrpcPathUser,
    NativeGrpcUser,
    ReferenceGrpcUser,
    ReferenceRestUser,
    RestPathUser,
)

__all__ = [
    "DirectGrpcUser",
    "DirectRestUser",
    "GrpcPathUser",
    "NativeGrpcUser",
    "ReferenceGrpcUser",
    "ReferenceRestUser",
    "RestPathUser",
]


def three_digits(response_time_ms: float) -> float:
    """The bucket that a response time is counted in: three significant digits, microseconds at most."""
    if response_time_ms < 0.001:
        return 0.0
    return round(response_time_ms, min(3, 2 - math.floor(math.log10(response_time_ms))))


def _initialised(environment: Any, **_: Any) -> None:
    hosts = environment.parsed_options.hosts
    for path, host in hosts.items():
        USERS[path].host = host
    if hosts and environment.available_user_classes:  # the picker shows what there is
        environment.available_user_classes = {
            name: user for name, user in environment.available_user_classes.items() if user.path in hosts
        }
    if isinstance(environment.runner, WorkerRunner):
        _obey(environment)


def _obey(environment: Any) -> None:
    """Let a worker do what the comparison's master asks (loadtests/generator/master.py): begin a window, end it, say what was seen."""
    recorder = Recorder()
    environment.events.request.add_listener(recorder.heard)

    def begin(environment: Any, msg: Any, **_: Any) -> None:
        recorder.begin()
        environment.runner.send_message("begun", {})

    def end(environment: Any, msg: Any, **_: Any) -> None:
        environment.runner.send_message("measured", recorder.end())

    environment.runner.register_message("begin", begin)
    environment.runner.register_message("end", end)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(_initialised)
locust.stats.bucket_response_time = three_digits
