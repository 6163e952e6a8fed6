"""What it costs to encode and decode the messages of one call: measured here, in this process, with the services' own code.

Rules: CPU time of this thread, the median of REPEATS. Each cost stands at the hop that holds it: gRPC decodes a request
before the handler's span begins and encodes a unary answer after it has ended; messages are made within the span, and a
stream's are encoded there; the REST twins do all of it within the span. What is done while a stream pauses delays nobody
and costs nothing here. JSON clients of the benchmark do not decode: they compare bytes.
"""

import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec

from loadtests.hops.split import Parts
from services.query import int32, parameters, text
from services.rules import greeting
from services.stubs import pspd_pb2

REPEATS: Final = 9
LOOPS: Final = 500  # of one repeat: some milliseconds, far beyond the clock's grain
NAME: Final = "pspd"

Work = Callable[[], object]


def costs_us(*, count: int, delay_ms: int) -> dict[str, dict[str, Parts]]:
    """Route -> path -> hop -> microseconds of serialization in one call; none of the echo. Takes some 0.1 s."""
    return {"/a/hello": _hello(), "/b/numbers": _numbers(count, delay_ms)}


def median_us(work: Work, loops: int = LOOPS) -> float:
    """CPU microseconds of doing `work` once."""
    return statistics.median(_once_us(work, loops) for _ in range(REPEATS))


def _hello() -> dict[str, Parts]:
    asked = pspd_pb2.HelloRequest(name=NAME).SerializeToString()
    said = greeting(NAME, by="A")
    reply = pspd_pb2.HelloReply(message=said)
    answered = reply.SerializeToString()
    query, twin = f"name={NAME}", {"message": greeting(NAME, by="A-REST")}
    server = {
        "sidecar to service": median_us(lambda: pspd_pb2.HelloRequest.FromString(asked))
        + median_us(reply.SerializeToString),
        "service": median_us(lambda: pspd_pb2.HelloReply(message=said)),
    }
    client_us = median_us(lambda: pspd_pb2.HelloRequest(name=NAME).SerializeToString())
    client_us += median_us(lambda: pspd_pb2.HelloReply.FromString(answered))
    twin_us = median_us(lambda: text("name", parameters(query, ("name",)))) + median_us(
        lambda: msgspec.json.encode(twin)
    )
    return _paths(server, client_us, twin_us)


def _numbers(count: int, delay_ms: int) -> dict[str, Parts]:
    fields = {"count": count, "delay_ms": delay_ms}
    asked = pspd_pb2.StreamRequest(**fields).SerializeToString()
    answered = pspd_pb2.NumberReply(value=count).SerializeToString()
    query, twin = f"count={count}&delay_ms={delay_ms}", {"values": list(range(1, count + 1))}
    on_the_way = 0 if delay_ms > 0 else count  # of messages; the others are encoded and decoded within the pauses

    def read_query() -> None:
        given = parameters(query, ("count", "delay_ms"))
        int32("count", given)
        int32("delay_ms", given)

    server = {
        "sidecar to service": median_us(lambda: pspd_pb2.StreamRequest.FromString(asked)),
        "service": on_the_way * median_us(lambda: pspd_pb2.NumberReply(value=count).SerializeToString()),
    }
    client_us = median_us(lambda: pspd_pb2.StreamRequest(**fields).SerializeToString())
    client_us += on_the_way * median_us(lambda: pspd_pb2.NumberReply.FromString(answered))
    loops = max(1, LOOPS // max(1, count // 10))  # ten thousand numbers take a millisecond
    return _paths(server, client_us, median_us(read_query) + median_us(lambda: msgspec.json.encode(twin), loops))


def _paths(server: Parts, client_us: float, twin_us: float) -> dict[str, Parts]:
    return {"grpc": server, "native": {**server, "client": client_us}, "rest": {"service": twin_us}}


def _once_us(work: Work, loops: int) -> float:
    begun = time.thread_time_ns()
    for _ in range(loops):
        work()
    return (time.thread_time_ns() - begun) / loops / 1000
