"""The edge's access log: one line of JSON per finished call, best effort. Envoy writes it after the answer, and buffers.

Envoy writes it to ACCESS_LOG, relative to its working directory, beside the segments of the journal.
"""

from typing import Any

import msgspec

from mesh.events import CallFinished

ACCESS_LOG = "spool/access.json"


def access_log_format() -> dict[str, str]:
    """`json_format` of Envoy's file access log."""
    return {
        "call_id": "%REQ(X-REQUEST-ID)%",
        "workload": "%UPSTREAM_HOST%",
        "response_flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "bytes_sent": "%BYTES_SENT%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "duration_ms": "%DURATION%",  # known even of a call that had no last byte
        "upstream_us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    }


def call_finished(line: bytes) -> CallFinished | None:
    """What one line says; None if it cannot be told which call it is about, or it is no line of ours."""
    try:
        said = msgspec.json.decode(line)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("call_id"), str):
        return None
    return CallFinished(
        call_id=said["call_id"],
        workload=_text(said.get("workload")),
        response_flags=_text(said.get("response_flags")),
        details=_text(said.get("details")),
        bytes_sent=_number(said.get("bytes_sent")),
        attempts=_number(said.get("attempts")),
        duration_us=_number(said.get("duration_us")) or 1000 * _number(said.get("duration_ms")),
        upstream_us=_number(said.get("upstream_us")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value != "-" else ""


def _number(value: Any) -> int:
    """Envoy writes null, or "-", for what it does not know."""
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0
