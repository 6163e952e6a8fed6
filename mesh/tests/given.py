"""Given / when / then: what had happened, what is wished, what happens."""

import re
from dataclasses import dataclass

import pytest

from mesh.commands import Command
from mesh.decide import decide
from mesh.errors import Refused
from mesh.events import MeshEvent
from mesh.topology import Topology, evolved


@dataclass(frozen=True, slots=True)
class Wished:
    topology: Topology
    command: Command

    def then(self, *events: MeshEvent) -> None:
        assert decide(self.topology, self.command) == list(events)

    def refuses(self, error: type[Refused], saying: str = "") -> None:
        with pytest.raises(error, match=re.escape(saying)):
            decide(self.topology, self.command)


@dataclass(frozen=True, slots=True)
class Given:
    events: tuple[MeshEvent, ...]

    def when(self, command: Command) -> Wished:
        return Wished(evolved(self.events), command)


def given(*events: MeshEvent) -> Given:
    return Given(events)
