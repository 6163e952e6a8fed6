"""The books of a journal: what it has accounted for. A projection of the events of `calls/<edge>`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from mesh.events import CallAnswered, CallEvent, CallFinished, CallsLost, StreamEnded


@dataclass(slots=True)
class Books:
    answered: int = 0  # calls recorded
    streams: int = 0  # of them, those whose end is told apart
    ended: int = 0  # streams whose last byte was released
    finished: int = 0  # calls that the access log knew the end of
    lost: int = 0  # calls answered and not recorded, as far as they could be counted

    def count(self, events: Iterable[CallEvent]) -> None:
        for event in events:
            match event:
                case CallAnswered():
                    self.answered += 1
                    self.streams += event.streaming
                case StreamEnded():
                    self.ended += 1
                case CallFinished():
                    self.finished += 1
                case CallsLost():
                    self.lost += event.count
                case _:
                    assert_never(event)
