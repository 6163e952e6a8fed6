"""A results directory becomes what people read: report.html, report.md and raw.parquet, each written whole or not at all.

The report of a benchmark tells of the newest check that lies beside it; a check has a report of its own, without Parquet.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from loadtests.agreement import kept
from loadtests.agreement.ratios import Agreement
from loadtests.errors import UnreadableResults
from loadtests.findings import verdicts, words
from loadtests.model import runs
from loadtests.model.runs import Run
from loadtests.report import agreement
from loadtests.report.blocks import Block
from loadtests.report.html import html
from loadtests.report.markdown import markdown
from loadtests.report.parquet import write_raw
from loadtests.report.results import read_results
from loadtests.report.sections import report

HTML, MARKDOWN, RAW = "report.html", "report.md", "raw.parquet"


def write(directory: Path) -> Path:
    """As `loadtests.report.write_report` says."""
    run = runs.read(directory)
    if run.kind == runs.CHECK:
        return _write_pages(directory, f"A check: {words.shown(run.id)}", agreement.page(run, _agreements(directory)))
    run, measured = read_results(directory)
    blocks = report(verdicts.find(run, measured), _newest_check(directory.parent))
    page = _write_pages(directory, f"gRPC and REST, compared: {words.shown(run.id)}", blocks)
    fresh = _fresh(directory / RAW)
    write_raw(run, measured, fresh)
    fresh.replace(directory / RAW)
    return page


def _newest_check(results: Path) -> tuple[Run, list[Agreement]] | None:
    for directory in sorted(results.glob(f"*-{runs.CHECK}"), reverse=True):
        with contextlib.suppress(UnreadableResults):
            agreements = _agreements(directory)
            if agreements:
                return runs.read(directory), agreements
    return None


def _agreements(directory: Path) -> list[Agreement]:
    return [measured.agreement for measured in kept.read(directory)]


def _write_pages(directory: Path, title: str, blocks: Iterable[Block]) -> Path:
    blocks = list(blocks)
    _replace(directory / HTML, html(title, blocks).encode())
    _replace(directory / MARKDOWN, markdown(blocks).encode())
    return directory / HTML


def _replace(path: Path, content: bytes) -> None:
    fresh = _fresh(path)
    fresh.write_bytes(content)
    fresh.replace(path)


def _fresh(path: Path) -> Path:
    return path.with_name(f".{path.name}.new")
