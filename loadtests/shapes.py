"""Shapes for Locust: how many users there are, and when. Give this file beside the locustfile:

locust -f loadtests/locustfile.py,loadtests/shapes.py RestPathUser --headless
"""

from typing import Any

from locust import LoadTestShape, events

from loadtests.model.cells import RAMP

STAGE_SECONDS = 30.0


class ReportRamp(LoadTestShape):  # type: ignore[misc] # Locust's classes are untyped here
    """The original report's: 25, 50, 100, ... 3,200 users, 30 s each (--stage-seconds), then the end."""

    def tick(self) -> tuple[int, float] | None:
        options = getattr(self.runner.environment, "parsed_options", None)
        stage = int(self.get_run_time() / getattr(options, "stage_seconds", STAGE_SECONDS))
        if stage >= len(RAMP):
            return None
        return RAMP[stage], float(RAMP[stage])  # all of a stage within a second


def _options(parser: Any) -> None:
    parser.add_argument("--stage-seconds", type=float, default=STAGE_SECONDS, help="of each step of the ramp")


events.init_command_line_parser.add_listener(_options)
