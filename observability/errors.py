"""Why a trace cannot be shown. Whose fault it is stands in the type.

TraceError
├── MalformedTraceId    what was asked for cannot be the id of a trace
├── UnknownTrace        nobody has heard of it: too old, not sampled, or not yet here
├── TracesUnavailable   whoever keeps the traces does not answer, or not in a way that we understand
└── SinkError           the sink cannot run: a taken port, an address that cannot be had
"""


class TraceError(Exception):
    pass


class MalformedTraceId(TraceError):
    def __init__(self, text: str) -> None:
        shown = text if len(text) <= 64 else text[:63] + "…"
        super().__init__(f"a trace id is 32 hexadecimal digits, not all zero; {shown!r} is not")


class UnknownTrace(TraceError):
    def __init__(self, trace_id: str, where: str) -> None:
        super().__init__(f"{where} has no trace {trace_id}; it may be too old, or the call was not sampled")


class TracesUnavailable(TraceError):
    pass


class SinkError(TraceError):
    pass
