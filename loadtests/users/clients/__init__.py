"""Clients that make one call and say what came of it: one connection each, one call at a time, and nothing tried again."""

from typing import Protocol

from loadtests.users.journeys import Call


class CallFailed(Exception):
    """`str(error)` is the cause, in few words and without what differs from call to call: causes are counted."""


class Client(Protocol):
    def call(self, call: Call, traceparent: str) -> int:
        """Make the call, look at the answer, return the bytes of its body. Raises: CallFailed."""

    def close(self) -> None: ...
