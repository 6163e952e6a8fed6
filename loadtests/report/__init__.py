"""What people read of a benchmark: the report of one run, and the comparison of two.

verdicts -> blocks (sections, tables, charts) -> html, markdown, terminal; pictures and drawing make the SVG.
"""

from pathlib import Path


def write_report(directory: Path) -> Path:
    """Makes report.html, report.md and (but of a check) raw.parquet of a results directory; returns the HTML's path.

    Raises: UnreadableResults, OSError.
    """
    from loadtests.report.write import write  # brings matplotlib and pyarrow, of the extra `loadtests`

    return write(directory)
