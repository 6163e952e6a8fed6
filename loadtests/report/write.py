"""A results directory becomes what people read: report.html, report.md and raw.parquet, each written whole or not at all."""

from pathlib import Path

from loadtests.findings import verdicts, words
from loadtests.report.html import html
from loadtests.report.markdown import markdown
from loadtests.report.parquet import write_raw
from loadtests.report.results import read_results
from loadtests.report.sections import report

HTML, MARKDOWN, RAW = "report.html", "report.md", "raw.parquet"


def write(directory: Path) -> Path:
    """As `loadtests.report.write_report` says."""
    run, measured = read_results(directory)
    blocks = list(report(verdicts.find(run, measured)))
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
