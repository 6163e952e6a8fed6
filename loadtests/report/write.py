"""A results directory becomes what people read: report.html, report.md and raw.parquet, each written whole or not at all."""

from pathlib import Path

from loadtests import findings, measurements, runs, words
from loadtests.measurements import Measurement, UnreadableResults
from loadtests.report.html import html
from loadtests.report.markdown import markdown
from loadtests.report.parquet import write_raw
from loadtests.report.sections import report
from loadtests.runs import Run

HTML, MARKDOWN, RAW = "report.html", "report.md", "raw.parquet"


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


def write_report(directory: Path) -> Path:
    """Makes the three files from run.json and measurements.jsonl, and returns the HTML's path.

    Raises: UnreadableResults, OSError.
    """
    run, measured = read_results(directory)
    blocks = list(report(findings.find(run, measured)))
    title = f"gRPC and REST, compared: {words.shown(run.id)}"
    _replace(directory / HTML, html(title, blocks).encode())
    _replace(directory / MARKDOWN, markdown(blocks).encode())
    fresh = _fresh(directory / RAW)
    write_raw(run, measured, fresh)
    fresh.replace(directory / RAW)
    return directory / HTML


def _replace(path: Path, content: bytes) -> None:
    fresh = _fresh(path)
    fresh.write_bytes(content)
    fresh.replace(path)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
