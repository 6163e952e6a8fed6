"""What a generator process saw within the window: histograms, errors, traced calls, its own CPU time.

One recorder a process; it hears what every user reports (Locust's `request` event), so users of other people's locustfiles
are recorded too. What ends outside the window does not count.
"""

import os
import time
from collections import Counter
from typing import Any

from loadtests.model.histogram import Histogram

CAUSES_MAX = 64  # distinct causes of errors that are kept apart
OTHER_CAUSES = "other causes"
TRACED_MAX = 4_096  # calls that are traced, a process and window


class Recorder:
    def __init__(self) -> None:
        self._open = False
        self._routes: dict[str, _Route] = {}
        self._traced: list[tuple[str, str, int, int]] = []
        self._begun = self._cpu = 0.0

    def begin(self) -> None:
        self._routes, self._traced, self._open = {}, [], True
        self._begun, self._cpu = time.perf_counter(), _cpu_seconds()

    def end(self) -> dict[str, Any]:
        """What was seen since `begin`, as plain data: seconds, cpu_seconds, pid, routes, traced."""
        self._open = False
        return {
            "seconds": time.perf_counter() - self._begun,
            "cpu_seconds": _cpu_seconds() - self._cpu,
            "pid": os.getpid(),
            "routes": {name: route.plain() for name, route in self._routes.items()},
            "traced": self._traced,
        }

    def heard(
        self, name: str, response_time: float, response_length: int, exception: Any, context: dict[str, Any], **_: Any
    ) -> None:
        """A listener of Locust's `request` event; response_time is in milliseconds."""
        if not self._open:
            return
        route = self._routes.get(name)
        if route is None:
            route = self._routes[name] = _Route()
        if exception is not None:
            known = str(exception) in route.errors or len(route.errors) < CAUSES_MAX
            route.errors[str(exception) if known else OTHER_CAUSES] += 1
            return
        latency_us = round(response_time * 1000)
        route.calls += 1
        route.total_us += latency_us
        route.bytes += response_length
        route.histogram.record_us(latency_us)
        if "trace_id" in context and len(self._traced) < TRACED_MAX:
            self._traced.append((context["trace_id"], name, context["begun_ns"], latency_us))


class _Route:
    def __init__(self) -> None:
        self.calls = self.total_us = self.bytes = 0
        self.histogram = Histogram()
        self.errors: Counter[str] = Counter()

    def plain(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "total_us": self.total_us,
            "histogram": self.histogram.encoded(),
            "errors": dict(self.errors),
            "bytes": self.bytes,
        }


def _cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system
