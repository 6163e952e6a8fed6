"""Cells and the order in which they are measured."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.model import plan, runs
from loadtests.model.cells import RAMP, Cell
from loadtests.model.plan import Plan
from loadtests.running import bench


def test_cells_of_one_question_differ_in_path_and_variant_alone() -> None:
    cell = Cell("grpc", "a", 25)
    assert cell.question == replace(cell, path="rest").question == replace(cell, variant="again").question
    assert cell.question != replace(cell, users=50).question
    assert cell.id != replace(cell, variant="again").id


@pytest.mark.parametrize("kind", [plan.quick, plan.default, plan.full])
def test_every_plan_measures_both_paths_alike(kind: type) -> None:
    made = kind()
    paths = Counter((cell.path, cell.question) for cell in made.cells if not cell.variant)
    assert set(paths.values()) == {1}
    questions = {cell.question for cell in made.cells if cell.path in ("grpc", "rest")}
    assert all(
        ("grpc", question) in paths and ("rest", question) in paths for question in questions if question.journey
    )


def test_every_plan_has_its_control() -> None:
    for made in (plan.quick(), plan.default(), plan.full()):
        again = [cell for cell in made.cells if cell.variant == plan.AGAIN]
        assert again
        assert all(replace(cell, variant="") in made.cells for cell in again)


def test_the_default_measures_the_reports_ramp_in_about_twenty_minutes_with_ten_repetitions() -> None:
    made = plan.default()
    assert {cell.users for cell in made.cells if cell.journey == "report"} == set(RAMP)
    assert made.repetitions >= 10
    assert 15 * 60 < made.seconds() < 22 * 60


def test_hops_are_left_out_where_every_path_is_asked_as_often() -> None:
    """In a closed loop of A the service alone outruns the generator, and the run is void."""
    made = plan.default()
    for straight in ("direct-grpc", "direct-rest"):
        questions = {cell.question for cell in made.cells if cell.path == straight}
        assert questions
        assert all(question.rate for question in questions)
        assert questions <= {cell.question for cell in made.cells if cell.path == "native"}


def test_a_first_verdict_takes_less_than_a_minute_and_a_half() -> None:
    assert plan.quick().seconds() < 75  # beside the start of the mesh and the report


def test_repetitions_are_interleaved_and_each_has_an_order_of_its_own() -> None:
    made = plan.default(4)
    steps = list(made.steps(seed=7))
    assert Counter(steps) == Counter({(n, cell): 1 for n in range(1, 5) for cell in made.cells})
    assert [n for n, _ in steps] == sorted(n for n, _ in steps)
    orders = [tuple(cell for n, cell in steps if n == repetition) for repetition in range(1, 5)]
    assert len(set(orders)) == 4


def test_the_order_follows_from_the_seed() -> None:
    made = plan.quick()
    assert list(made.steps(1)) == list(made.steps(1))
    assert list(made.steps(1)) != list(made.steps(2))


def test_more_users_get_a_longer_window() -> None:
    made = Plan("some", (), 1, window_seconds=2.0, warmup_seconds=1.0)
    assert made.window(Cell("grpc", "a", 3_200)) == pytest.approx(6.0)
    assert made.warmup(Cell("grpc", "a", 3_200)) == pytest.approx(4.2)


def test_the_reference_answers_the_questions_that_the_mesh_is_asked() -> None:
    made = plan.with_reference(plan.default())
    reference = {cell.question for cell in made.cells if cell.path == "reference-grpc"}
    ours = {cell.question for cell in made.cells if cell.path == "grpc"}
    assert reference <= ours
    assert {(cell.journey, cell.users) for cell in reference} >= {("b", 200), ("b", 800), ("a", 200), ("report", 25)}


def test_a_run_that_goes_on_has_the_plan_and_the_costs_of_serialization_that_it_was_begun_with(tmp_path: Path) -> None:
    made = plan.quick()
    begun = bench.new_run(made, bench.Wanted("default"), seed=1)
    runs.write(begun, tmp_path)
    kept = runs.read(tmp_path)
    assert bench.plan_of(kept) == made
    assert kept.serialization_us(made.cells[0], "/a/hello") == begun.serialization_us(made.cells[0], "/a/hello")
    assert kept.serialization_us(made.cells[0], "/a/hello").keys() == {"grpc", "native", "rest"}
    assert kept.serialization_us(replace(made.cells[0], count=100), "/a/hello") == {}
    assert kept.serialization_us(made.cells[0], "/echo") == {}


def test_a_run_of_before_serialization_was_measured_can_be_read(tmp_path: Path) -> None:
    old = bench.new_run(plan.quick(), bench.Wanted("default"), seed=1)
    runs.write(old, tmp_path)
    text = (tmp_path / runs.FILE).read_text()
    cut = text[: text.index('  "sampled_percent"')].rstrip().rstrip(",") + "}"
    (tmp_path / runs.FILE).write_text(cut)
    assert runs.read(tmp_path) == replace(old, sampled_percent=1.0, serialization=())
