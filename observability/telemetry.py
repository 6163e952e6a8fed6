"""Spans of our Python servers: where they go, and which calls have one.

Rules:
- A span is made only for a call whose W3C trace context says that it is sampled; the edge decides that, nobody here.
  A call that is not sampled costs one look at `traceparent`.
- Without OTEL_EXPORTER_OTLP_ENDPOINT (or ..._TRACES_ENDPOINT) there is no exporter, and OpenTelemetry is not even imported.
- An exporter that cannot deliver says so once a minute, holds at most QUEUE_SPANS_MAX spans and delays the end of the
  process by CLOSE_SECONDS_MAX at most.
- The OpenTelemetry SDK reads its own variables; what we decide ourselves comes from `environ`, which __main__ hands over.

Importing this module imports no OpenTelemetry.
"""

import logging
import threading
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

FLUSH_MS = 200  # a trace is looked at within a second of its call
QUEUE_SPANS_MAX = 8_192
BATCH_SPANS_MAX = 512
CLOSE_SECONDS_MAX = 1.0
COMPLAINT_SECONDS = 60.0


class TelemetryUnusable(Exception):
    """The environment asks for an export that cannot be had here; the sentence says why."""


class Tracing:
    """Makes spans and sends them to one exporter."""

    def __init__(self, service_name: str, exporter: "SpanExporter") -> None:
        self._exporter = exporter
        self._provider = tracer_provider(service_name, exporter)
        self.tracer: Tracer = self._provider.get_tracer("meshlog")

    def close(self) -> None:
        """Send what is left, but wait no longer than CLOSE_SECONDS_MAX for who does not take it."""
        flush = threading.Thread(target=self._provider.shutdown, daemon=True)
        flush.start()
        flush.join(CLOSE_SECONDS_MAX)
        if flush.is_alive():
            self._exporter.shutdown()  # ends the wait between two tries


def tracing(service_name: str, environ: Mapping[str, str]) -> Tracing | None:
    """What the standard variables ask for; None where they name no endpoint or switch tracing off.

    Raises: TelemetryUnusable.
    """
    endpoint = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if not endpoint or off:
        return None
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    _complain_rarely()
    return Tracing(environ.get("OTEL_SERVICE_NAME") or service_name, _exporter(protocol))


def tracer_provider(service_name: str, exporter: "SpanExporter") -> "TracerProvider":
    """Sends each span within FLUSH_MS of its end."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

    provider = TracerProvider(
        sampler=DEFAULT_OFF,  # follows the parent; no parent, no span
        resource=Resource.create({SERVICE_NAME: service_name}),
        shutdown_on_exit=False,  # Tracing.close does it, and does not wait half a minute
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE_SPANS_MAX,
            schedule_delay_millis=FLUSH_MS,
            max_export_batch_size=BATCH_SPANS_MAX,
        )
    )
    return provider


def is_sampled(traceparent: str) -> bool:
    """Whether the flags of "00-<trace id>-<span id>-<flags>" have the sampled bit. The cheap look, with every call."""
    return len(traceparent) >= 55 and traceparent[54] in "13579bdf"


def parent(traceparent: str, tracestate: str = "") -> "Context | None":
    """The context of the caller's span; None if `traceparent` is none that W3C would know. Only for sampled calls."""
    from opentelemetry.trace import INVALID_SPAN_CONTEXT, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    context = TraceContextTextMapPropagator().extract(carrier)
    return None if get_current_span(context).get_span_context() == INVALID_SPAN_CONTEXT else context


def _exporter(protocol: str) -> "SpanExporter":
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp

        return OverHttp()
    raise TelemetryUnusable(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not known; there are grpc and http/protobuf")


class _OnceAMinute(logging.Filter):
    """Lets one complaint through, then none for a minute: a collector that is away is no news."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if monotonic() < self._quiet_until:
            return False
        self._quiet_until = monotonic() + COMPLAINT_SECONDS
        return True


def _complain_rarely() -> None:
    # on the handler, not on the logger: a logger's filter does not see what its children log
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    handler.addFilter(_OnceAMinute())
    logger = logging.getLogger("opentelemetry")
    logger.handlers, logger.propagate = [handler], False
