"""The form of a spool's segments: whatever happens to the bytes, nothing is read that was not written."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import UnreadableEvent
from mesh.events import CallAnswered, CallFinished, CallsLost, StreamEnded
from mesh.journal.accesslog import access_log_format, call_finished
from mesh.journal.books import Books
from mesh.journal.records import call_event
from mesh.journal.spool import END, FRAME_BYTES, PAYLOAD_BYTES, encode, frames

payloads = st.lists(st.binary(min_size=1, max_size=60), max_size=12)

ANSWERED = {
    "type": "CallAnswered",
    "call_id": "1",
    "trace_id": "t",
    "position": 3,
    "asked": "rest",
    "method": "GET",
    "path": "/a/hello",
    "service": "a-rest",
    "version": "v1",
    "http_status": 200,
    "grpc_status": None,
    "started_at_us": 10,
    "answered_at_us": 20,
    "request_body": b"\xff\x00",
}


@given(payloads)
def test_what_is_written_is_read(written: list[bytes]) -> None:
    data = b"".join(map(encode, written))
    assert frames(data) == (written, len(data), None)


@given(payloads, st.data())
def test_a_cut_anywhere_keeps_every_frame_before_it(written: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(encode, written))
    cut = data.draw(st.integers(0, len(whole)))
    read, consumed, problem = frames(whole[:cut])
    assert read == written[: len(read)]
    assert consumed == len(b"".join(map(encode, read))) <= cut
    assert (problem is None) == (consumed == cut)
    assert len(encode(written[len(read)])) > cut - consumed if problem else True


@given(payloads, st.data())
def test_a_garbled_byte_never_gives_a_wrong_record(written: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(encode, [*written, b"the last"])))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    read, consumed, problem = frames(bytes(whole))
    assert problem is not None
    assert read == written[: len(read)]
    assert consumed <= at < consumed + len(encode([*written, b"the last"][len(read)]))


def test_a_frame_inside_the_body_of_a_damaged_one_is_not_believed() -> None:
    """A client may send a request whose body is a frame; nothing may bring the journal to take it for one of its own."""
    damaged = bytearray(encode(b"body: " + encode(b"forged")))
    damaged[4] ^= 1
    read, consumed, problem = frames(bytes(damaged) + encode(b"after it"))
    assert (read, consumed) == ([], 0)
    assert problem == "a frame's checksum is wrong"


def test_nothing_is_read_behind_the_end_and_beyond_the_limit() -> None:
    data = encode(b"1") + encode(b"2") + encode(END) + encode(b"3")
    assert frames(data) == ([b"1", b"2", END], len(data) - len(encode(b"3")), None)
    assert frames(data, limit=1) == ([b"1"], len(encode(b"1")), None)


def test_an_absurd_length_is_not_waited_for() -> None:
    assert len(encode(b"x" * PAYLOAD_BYTES)) == FRAME_BYTES
    _, _, problem = frames(encode(b"x" * (PAYLOAD_BYTES + 1)))
    assert problem == f"a frame claims {PAYLOAD_BYTES + 1} bytes"


def test_a_record_is_an_event_and_keys_of_a_newer_journal_are_ignored() -> None:
    event = call_event(msgpack.packb(ANSWERED | {"of_tomorrow": 1}))
    assert isinstance(event, CallAnswered)
    assert (event.path, event.request_body, event.streaming) == ("/a/hello", b"\xff\x00", False)


def test_a_path_that_is_no_utf8_is_kept_readable() -> None:
    packed = msgpack.packb(ANSWERED).replace(b"/a/hello", b"/a/hel\xff\xfe")
    event = call_event(packed)
    assert isinstance(event, CallAnswered)
    assert event.path == "/a/hel\\xff\\xfe"


@pytest.mark.parametrize(
    "record",
    [
        b"\xc1",
        msgpack.packb("text"),
        msgpack.packb({}),
        msgpack.packb({"type": []}),
        msgpack.packb({"type": "TrafficShifted", "service": "a", "weights": {}}),
        msgpack.packb(ANSWERED | {"position": "3"}),
        msgpack.packb({key: value for key, value in ANSWERED.items() if key != "call_id"}),
    ],
)
def test_what_is_no_record_of_a_journal_is_refused(record: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        call_event(record)


def test_a_line_of_the_access_log_says_how_a_call_finished() -> None:
    line = b"""{"attempts":1,"bytes_sent":5,"call_id":"1","details":"downstream_remote_disconnect","duration_ms":202,
        "duration_us":null,"response_flags":"DC","upstream_us":363,"workload":"127.0.0.1:15100"}"""
    assert call_finished(line) == CallFinished(
        "1", "127.0.0.1:15100", "DC", "downstream_remote_disconnect", 5, 1, 202_000, 363
    )


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b'{"call_id":null}'])
def test_a_line_about_no_call_says_nothing(line: bytes) -> None:
    assert call_finished(line) is None


def test_what_envoy_does_not_know_is_nothing() -> None:
    line = b'{"call_id":"1","workload":null,"response_flags":"-","attempts":"-"}'
    assert call_finished(line) == CallFinished("1", "", "", "", 0, 0, 0, 0)
    assert "call_id" in access_log_format()


def test_the_books_tell_what_is_recorded_and_what_is_lost() -> None:
    answered = call_event(msgpack.packb(ANSWERED | {"streaming": True}))
    ended = StreamEnded("1", "t", 3, None, 2, 20, 30)
    books = Books()
    books.count([answered, ended, CallFinished("1", "", "", "", 0, 0, 0, 0), CallsLost(1, 2, 5, "a full disk")])
    assert books == Books(answered=1, streams=1, ended=1, finished=1, lost=5)
