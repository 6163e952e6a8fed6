"""Is the answer right? Parsed once, and after that compared byte by byte, so that looking costs next to nothing."""

import msgspec

from loadtests.users.clients import CallFailed
from loadtests.users.journeys import Call

SAID_CHARACTERS = 80  # of an error's message, in its cause


class Looker:
    def __init__(self) -> None:
        self._right: dict[str, bytes] = {}  # route -> the bytes of an answer that was right

    def look(self, call: Call, status: int, body: bytes) -> None:
        """Raises: CallFailed."""
        if status == 200 and body == self._right.get(call.route):
            return
        if status != 200:
            raise CallFailed(f"HTTP {status}{_said(body)}")
        try:
            if msgspec.json.decode(body) != call.right:
                raise CallFailed("wrong answer")
        except msgspec.DecodeError:
            raise CallFailed("answer is not JSON") from None
        self._right[call.route] = body


def _said(body: bytes) -> str:
    """What a google.rpc.Status, or the reference's {"error": …}, says."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else ""
    return f": {str(said)[:SAID_CHARACTERS]}" if said else ""
