"""Two runs, cell by cell: faster, slower, or no difference that can be told."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.errors import UnreadableResults
from loadtests.findings.intervals import Interval
from loadtests.findings.summaries import MEAN, THROUGHPUT
from loadtests.model.cells import Cell
from loadtests.report.compare import compare_runs, verdict
from loadtests.tests.made import kept, repeated

GRPC, REST, B = Cell("grpc", "a", 25), Cell("rest", "a", 25), Cell("grpc", "b", 25)


def test_each_cell_has_old_new_and_a_verdict(tmp_path: Path) -> None:
    old = kept(tmp_path / "old", repeated([GRPC, REST, B]), id="old")
    new = kept(
        tmp_path / "new", [*repeated([GRPC], slower=0.5), *repeated([REST], slower=2.0), *repeated([B])], id="new"
    )
    said = compare_runs(old, new, markdown=True)
    assert said.startswith("# old against new")
    assert "of 3 cells: the new run is faster at 1, slower at 1; at 1 no difference can be told." in said
    assert "2.0 times faster" in said
    assert "2.0 times slower" in said
    assert "2.0 times more" in said
    assert said.count("[") >= 18  # old and new of three metrics of three cells


@pytest.mark.parametrize(
    ("old", "new", "metric", "said"),
    [
        (Interval(100, 99, 101, 10), Interval(50, 49, 51, 10), MEAN, "2.0 times faster"),
        (Interval(100, 99, 101, 10), Interval(120, 119, 121, 10), MEAN, "1.2 times slower"),
        (Interval(100, 90, 110, 10), Interval(120, 109, 131, 10), MEAN, "no difference can be told"),
        (Interval(100, 99, 101, 2), Interval(50, 49, 51, 10), MEAN, "too few repetitions to tell"),
        (Interval(100, 99, 101, 10), Interval(50, 49, 51, 10), THROUGHPUT, "2.0 times less"),
        (Interval(0, 0, 0, 10), Interval(50, 49, 51, 10), THROUGHPUT, "many times more"),
    ],
)
def test_a_verdict_needs_intervals_that_do_not_overlap(old: Interval, new: Interval, metric: object, said: str) -> None:
    assert verdict(old, new, metric) == said  # type: ignore[arg-type]


def test_another_machine_or_setting_is_a_warning_and_a_new_meshlog_is_not(tmp_path: Path) -> None:
    measured = repeated([GRPC], 3)
    old = kept(tmp_path / "old", measured)
    new = kept(tmp_path / "new", measured, machine={"cores": "4"}, versions={"meshlog": "0.2", "envoy": "1.41"})
    said = compare_runs(old, new, width=400)
    assert "The runs differ in more than the code" in said
    assert "cores 2 then, 4 now" in said
    assert "envoy 1.40 then, 1.41 now" in said
    assert "0.2" not in said
    assert "differ in more than the code" not in compare_runs(old, old)


def test_cells_that_only_one_run_has_are_named(tmp_path: Path) -> None:
    old, new = kept(tmp_path / "old", repeated([GRPC, REST], 3)), kept(tmp_path / "new", repeated([GRPC, B], 3))
    said = compare_runs(old, new)
    assert "Only in the old run: A at 25 users, REST." in said
    assert "Only in the new run: B at 25 users, gRPC." in said
    nothing = compare_runs(old, kept(tmp_path / "other", repeated([B], 3)))
    assert "The two runs have no cell in common." in nothing


def test_a_failed_control_of_either_run_is_said_before_any_verdict(tmp_path: Path) -> None:
    again = replace(GRPC, variant="again")
    old = kept(tmp_path / "old", [*repeated([GRPC]), *repeated([again], slower=1.5)])
    said = compare_runs(old, kept(tmp_path / "new", repeated([GRPC])))
    assert said.index("The control of the old run failed") < said.index("By mean latency")


def test_voided_runs_on_one_side_leave_no_verdict(tmp_path: Path) -> None:
    old = kept(tmp_path / "old", repeated([GRPC], 3))
    new = kept(tmp_path / "new", [replace(m, voided="late") for m in repeated([GRPC], 3)])
    assert "too few repetitions to tell" in compare_runs(old, new)


def test_names_are_text_for_a_terminal_too(tmp_path: Path) -> None:
    odd = replace(GRPC, variant="[red]x[/red]\x1b[31m")
    directory = kept(tmp_path, repeated([odd], 3))
    said = compare_runs(directory, directory, width=200)
    assert "[red]x[/red]" in said
    assert "\x1b" not in said


def test_a_foreign_directory_is_a_clear_error(tmp_path: Path) -> None:
    good = kept(tmp_path / "good", repeated([GRPC], 3))
    with pytest.raises(UnreadableResults, match="nowhere holds no benchmark"):
        compare_runs(good, tmp_path / "nowhere")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "run.json").write_text("[]")
    with pytest.raises(UnreadableResults, match=r"run\.json cannot be read"):
        compare_runs(tmp_path / "foreign", good)
