"""What a check measured, and how it is kept: a line of JSON for each cell in `rounds.jsonl`, beside run.json.

Kept are the tools' results as they came; what they say of each other is found anew whenever it is asked
(loadtests/agreement/ratios.py).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loadtests.agreement.ratios import Agreement, agreement
from loadtests.agreement.tools.result import ToolResult
from loadtests.errors import UnreadableResults
from loadtests.model import lines
from loadtests.model.cells import Cell

FILE = "rounds.jsonl"


@dataclass(frozen=True, slots=True)
class CellRounds:
    """One cell by all tools, in turn."""

    cell: Cell
    ours: str  # the tool that the others are held against
    cores: int  # of the machine
    rounds: tuple[dict[str, ToolResult], ...]  # each by tool
    absent: dict[str, str] = field(default_factory=dict)  # tool -> why it has no result

    @property
    def agreement(self) -> Agreement:
        return agreement(self.cell, self.rounds, ours=self.ours, cores=self.cores, absent=self.absent)


def append(measured: CellRounds, directory: Path) -> None:
    """Raises: OSError (nothing is left half-written)."""
    line = json.dumps(msgspec.to_builtins(measured))  # which knows nan, as results do
    lines.append(line.encode(), directory / FILE)


def read(directory: Path) -> list[CellRounds]:
    """Empty where no check was made. A last line that was torn by a crash is left out. Raises: UnreadableResults."""
    path = directory / FILE
    try:
        return [msgspec.convert(json.loads(line), CellRounds) for line in lines.read(path)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UnreadableResults(f"{path} cannot be read: {error}") from None
