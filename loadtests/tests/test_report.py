"""The report says what was found, in one file that loads nothing, whatever the results hold."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loadtests.agreement import kept as agreement_kept
from loadtests.agreement.kept import CellRounds
from loadtests.agreement.tools.result import ToolResult
from loadtests.errors import UnreadableResults
from loadtests.findings.breakdown import PARTS
from loadtests.model import measurements, runs
from loadtests.model.cells import Cell
from loadtests.model.measurements import Hops, Measurement, ProcessUse
from loadtests.model.runs import Run, Serialization
from loadtests.report import write_report
from loadtests.tests.made import everything, kept, made, repeated, run_of, with_errors, without_answers
from loadtests.tests.made_hops import rows_of_hops
from mesh.tests.browser import a_browser

GRPC, REST = Cell("grpc", "a", 25), Cell("rest", "a", 25)
HOSTILE = "<script>alert(1)</script>|](http://evil.example)`*_$x^{$\x1b[31m\u202eSURROGATE & \"'"
EMPTY = {"meta", "link", "br", "img"}  # elements without an end


class Page(HTMLParser):
    """Every element, checked to be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids.update(value or "" for name, value in attrs if name == "id")
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag


def written(directory: Path, measured: list[Measurement], **fields: object) -> tuple[str, str]:
    path = write_report(kept(directory, measured, **fields))
    return path.read_text(), (directory / "report.md").read_text()


def headings(markdown: str) -> list[str]:
    return [line[3:] for line in markdown.splitlines() if line.startswith("## ")]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run of everything, with a voided run and failed calls."""
    directory = tmp_path_factory.mktemp("results")
    measured = repeated(everything(), repetitions=3)
    measured[0] = replace(measured[0], voided="the generator was the bottleneck")
    measured[1] = with_errors(measured[1], {"timeout": 7})
    write_report(kept(directory, measured))
    return directory


def test_the_verdicts_come_first_and_every_section_that_has_something_is_there(full: Path) -> None:
    assert headings((full / "report.md").read_text()) == [
        "Verdicts",
        "Results",
        "Where the time goes",
        "Resources",
        "Beside the original report",
        "Open loop",
        "Factors",
        "Failed calls",
        "Voided runs",
        "Machine, versions, settings",
        "How it was measured",
    ]


def test_the_page_loads_nothing_and_runs_nothing(full: Path) -> None:
    html = (full / "report.html").read_text()
    page = Page(html)
    assert page.tags["script"] == 0
    fetched = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
    assert all(value.startswith(("#", "data:")) for value in fetched)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_the_page_is_well_formed_and_its_pictures_do_not_share_ids(full: Path) -> None:
    page = Page((full / "report.html").read_text())
    assert page.open == []
    assert [name for name, count in page.ids.items() if count > 1] == []
    used = {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
    clips = {match for name, value in page.attributes for match in re.findall(r"url\(#([^)]*)\)", value)}
    assert (used | clips) <= page.ids.keys()
    assert page.tags["svg"] >= 15


def test_pictures_follow_light_and_dark_and_keep_their_text(full: Path) -> None:
    html = (full / "report.html").read_text()
    assert "prefers-color-scheme: dark" in html
    assert "#0000" not in html  # no stand-in for a colour is left
    svg = html[html.index("<svg viewBox") :]
    assert "var(--grpc)" in svg
    assert ">REST is faster" in svg


def test_the_same_results_make_the_same_bytes(tmp_path: Path) -> None:
    measured = repeated([GRPC, REST], 3)
    assert written(tmp_path / "one", measured) == written(tmp_path / "two", measured)


def test_the_report_says_where_it_comes_from(full: Path) -> None:
    markdown = (full / "report.md").read_text()
    for fact in ("0123abc", "seed 7", "Example CPU", "1.40", "1 %", "one machine", "coordinated omission"):
        assert fact in markdown


def test_raw_results_have_one_row_a_route_with_everything(full: Path) -> None:
    table = pq.read_table(full / "raw.parquet").to_pylist()
    measured = measurements.read(full)
    assert len(table) == sum(len(m.routes) for m in measured)
    first = table[0]
    route = measured[0].routes[first["route"]]
    (hops,) = measured[0].hops[:1]
    assert (first["traced"], dict(first["hops_us"])) == (hops.traces, hops.parts_us)
    assert (first["calls"], first["total_us"], first["histogram"]) == (route.calls, route.total_us, route.histogram)
    assert first["mean_us"] == pytest.approx(route.total_us / route.calls)
    assert first["p50_us"] < first["p90_us"] < first["p99_us"] <= first["max_us"]
    assert first["voided"] == "the generator was the bottleneck"
    assert dict(first["pss_bytes"]).keys() == {"edge", "sidecar", "workload", "generator"}
    assert dict(next(row for row in table if row["failed"])["errors"]) == {"timeout": 7}


def test_a_failed_control_opens_the_report(tmp_path: Path) -> None:
    again = replace(GRPC, variant="again")
    html, markdown = written(tmp_path, [*repeated([GRPC, REST]), *repeated([again], slower=1.5)])
    assert markdown.index("THE CONTROL FAILED") < markdown.index("## Verdicts")
    assert 'class="notice bad" role=alert' in html


def test_names_and_causes_from_outside_are_text(tmp_path: Path) -> None:
    odd = Cell("grpc", HOSTILE, 25, variant=HOSTILE)
    process = ProcessUse(HOSTILE, HOSTILE, 1.0, 10**6)
    hops = (Hops(HOSTILE, 4, 10.0, {HOSTILE: 10.0, "edge": 9.0}),)
    usual = replace(odd, variant="")
    measured = [
        replace(with_errors(m, {HOSTILE: 3}), processes=(process,), hops=hops)
        for m in repeated([odd, replace(odd, path=HOSTILE), usual, replace(usual, path=HOSTILE)], repetitions=3)
    ]
    measured = [replace(m, routes={HOSTILE: next(iter(m.routes.values()))}) for m in measured]
    measured.append(replace(made(odd, 9), voided=HOSTILE))
    directory = kept(tmp_path, measured, machine={"<b>": "<i>"}, git_revision="<u>|")
    results = (
        directory / measurements.FILE
    )  # another program may have written half a surrogate pair, which ours does not
    results.write_text(results.read_text().replace("SURROGATE", "\\ud800"))
    html = write_report(directory).read_text()
    markdown = (directory / "report.md").read_text()
    page = Page(html)
    assert page.open == []
    assert (page.tags["script"], page.tags["u"]) == (0, 0)
    assert "<script" not in markdown
    assert "](http" not in markdown
    assert "## Where the time goes" in markdown
    assert "\x1b" not in html + markdown
    for table in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1  # no name adds a column
    assert pq.read_table(directory / "raw.parquet").num_rows == len(measured)


def test_thousands_of_causes_and_voided_runs_are_bounded(tmp_path: Path) -> None:
    causes = {f"cause {number}": 1 for number in range(5_000)}
    measured = [with_errors(m, causes) for m in repeated([GRPC, REST], 3)]
    measured += [replace(made(GRPC, number), voided=f"reason {number}") for number in range(4, 300)]
    html, markdown = written(tmp_path, measured)
    assert "4,988 other causes" in markdown
    assert "100 of 296; raw.parquet has them all" in markdown
    assert len(html) < 200_000


@pytest.mark.parametrize(
    "measured",
    [
        [made(GRPC)],
        [replace(m, voided="late") for m in repeated([GRPC, REST], 3)],
        [without_answers(m) for m in repeated([GRPC, REST], 3)],
        [replace(m, routes={}) for m in repeated([GRPC, REST], 3)],
        [replace(m, seconds=0.0) for m in repeated([GRPC, REST], 3)],
        [replace(m, hops=(Hops("/", 3, 0.0, {"edge": -1.0}), Hops("/b", 0, 1.0, {}))) for m in repeated([GRPC], 3)],
        [without_answers(m) for m in repeated([replace(GRPC, rate=5.0), replace(GRPC, rate=50.0)], 3)],
    ],
    ids=["one run", "all voided", "no answers", "no routes", "no time", "odd hops", "silent open loop"],
)
def test_odd_results_make_a_report_without_nan(tmp_path: Path, measured: list[Measurement]) -> None:
    html, markdown = written(tmp_path, measured)
    assert Page(html).open == []
    assert not re.search(r"\b(nan|inf|None)\b", markdown)
    assert not re.search(r">[^<]*\b(nan|inf|None)\b", html)


def test_both_paths_stand_beside_their_difference_hop_by_hop(tmp_path: Path) -> None:
    costs = {"/a/hello": {"grpc": {"service": 100.0}, "rest": {"service": 200.0}}}
    html, markdown = written(tmp_path, repeated([GRPC, REST], 5), serialization=(Serialization(10, 5, costs),))
    rows = rows_of_hops(markdown)
    assert rows["serialization"] == ["0.100", "0.200", "-0.100 ± 0.000"]
    assert rows["hop"] == ["gRPC", "REST", "difference"]
    for hop in ("edge", "serialization", "sidecar to service", "sum of the parts", "mean of all calls"):
        grpc, rest, beyond = rows[hop]
        assert float(beyond.partition(" ± ")[0]) == pytest.approx(float(grpc) - float(rest), abs=0.0021)
        assert "±" in beyond
    parts = [float(figures[0]) for hop, figures in rows.items() if hop in PARTS]
    assert sum(parts) == pytest.approx(float(rows["sum of the parts"][0]), abs=0.005)
    assert rows["traced calls"][:2] == ["200", "200"]
    assert "Of the 4." in markdown
    assert " lie between sidecar and service (gRPC's own machinery in Python)" in markdown
    assert "A at 25 users: /a/hello by hop</figcaption>" in html.replace("\u00a0", " ")


def test_serialization_that_was_not_measured_is_not_known_and_never_zero(tmp_path: Path) -> None:
    _, markdown = written(tmp_path, repeated([GRPC, REST], 3))
    assert rows_of_hops(markdown)["serialization"] == ["—", "—", "—"]


def test_parts_that_do_not_sum_to_the_mean_of_all_calls_are_said_loudly(tmp_path: Path) -> None:
    measured = repeated([GRPC], 3)
    off = Hops("/a/hello", 40, 0.0, {"edge": 0.9 * measured[0].mean_us})
    html, markdown = written(tmp_path, [replace(m, hops=(off,)) for m in measured])
    assert re.search(
        r"Do not rely on these splits: .* by more than 5 %: A at 25 users: /a/hello \(gRPC by -\d+\.\d %, of 120 calls\)",
        markdown,
    )
    assert html.count("role=alert") == 1
    assert "Do not rely" not in written(tmp_path / "good", repeated([GRPC], 3))[1]


def test_the_envoys_are_said_a_second_time_from_the_runs_without_them(full: Path) -> None:
    markdown = (full / "report.md").read_text()
    assert re.search(
        r"\*\*A at 25 users: /a/hello, REST\.\*\* By traces edge and sidecar take [\d.]+ ms of a call; against runs without "
        r"Envoys they take [\d.]+ ms\.",
        markdown,
    )


def test_a_directory_without_results_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnreadableResults, match="holds no benchmark"):
        write_report(tmp_path)
    runs.write(run_of([made(GRPC)]), tmp_path)
    with pytest.raises(UnreadableResults, match="holds no measurement yet"):
        write_report(tmp_path)
    (tmp_path / measurements.FILE).write_text('{"foreign": 1}\n')
    with pytest.raises(UnreadableResults, match=r"line 1 is no measurement"):
        write_report(tmp_path)


def a_check(directory: Path, id_: str, **fields: Any) -> Path:
    """Results of a check in which k6 took twice as long."""
    cell = Cell("grpc", "a", 25)
    at = directory / id_
    at.mkdir(parents=True)
    runs.write(Run(id_, runs.CHECK, 1, "m", 4, 3, (cell,), window_seconds=5.0, **fields), at)
    results = [
        ToolResult(tool, "v1", 1_000, 5.0, us, us, us, us, us, us) for tool, us in (("locust", 9e3), ("k6", 18e3))
    ]
    rounds = tuple({result.tool: replace(result, mean_us=result.mean_us + n) for result in results} for n in range(3))
    agreement_kept.append(CellRounds(cell, "locust", 2, rounds, {"ghz": "ghz cannot run this"}), at)
    return at


def test_the_newest_check_beside_a_run_stands_in_its_report(tmp_path: Path) -> None:
    a_check(tmp_path, "2026-01-01T00-00-00-check")
    a_check(tmp_path, "2026-01-02T00-00-00-check", git_revision="another")
    page, text = written(tmp_path / "2026-01-03T00-00-00-quick", [made(Cell("grpc", "a", 25), n) for n in (1, 2, 3)])
    assert "Checked against other people's tools" in headings(text)
    assert "2026-01-02T00-00-00-check" in text
    assert "2026-01-01" not in text
    assert "made with another revision" in text
    assert "mean (2.00 times locust)" in text
    assert "ghz cannot run this" in page


def test_a_check_has_a_report_of_its_own(tmp_path: Path) -> None:
    path = write_report(a_check(tmp_path, "2026-01-01T00-00-00-check"))
    assert Page(path.read_text()).tags["table"] == 1
    assert "mean (2.00 times locust)" in (path.with_suffix(".md")).read_text()


def test_a_browser_shows_the_page_without_complaint_and_a_phone_need_not_scroll_sideways(full: Path) -> None:
    with a_browser() as browser:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        )
        browser.get((full / "report.html").as_uri())
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        sizes = browser.execute_script(
            "return [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().height)"
        )
        assert min(sizes) > 50
        assert browser.get_log("browser") == []  # type: ignore[no-untyped-call] # nothing that the content security policy had to stop
