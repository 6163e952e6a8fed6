"""What lies in a results directory, or why it cannot be reported on."""

from pathlib import Path

from loadtests.errors import UnreadableResults
from loadtests.model import measurements, runs
from loadtests.model.measurements import Measurement
from loadtests.model.runs import Run


def read_results(directory: Path) -> tuple[Run, list[Measurement]]:
    """Raises: UnreadableResults (there is no benchmark, or not one measurement, or this program cannot read it)."""
    run = runs.read(directory)
    try:
        measured = measurements.read(directory)
    except FileNotFoundError:
        measured = []
    except OSError as error:
        raise UnreadableResults(f"{directory / measurements.FILE} cannot be read: {error}") from None
    if not measured:
        raise UnreadableResults(f"{directory} holds no measurement yet; resume the run, or wait for its first one")
    return run, measured
