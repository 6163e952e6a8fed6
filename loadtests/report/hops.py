"""The section "Where the time goes": what each hop of a call takes on both paths, and what their difference is made of. Pure
but for the drawing itself.

Rules: a sum stands beside the mean of all calls, which no trace has a part in; where the two are too far apart, that is said
loudly; the difference has its interval hop by hop. Low loads come first: there a hop takes the time of its work, and not that of
a queue.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from loadtests.findings import words
from loadtests.findings.accounts import Account
from loadtests.findings.breakdown import APART_PERCENT_MAX, PARTS, SERIALIZATION, Breakdown
from loadtests.findings.intervals import Interval
from loadtests.model.cells import PATHS
from loadtests.report import pictures
from loadtests.report.blocks import Block, Entry, Figure, Figures, Heading, Notice, Paragraph, Points, Table, grouped
from loadtests.report.pictures import Stack
from loadtests.report.tables import MS, estimate

SHOWN_MAX: Final = 8  # accounts with a picture and rows of their own
NAMED_MAX: Final = 10  # in one sentence
PATHS_MAX: Final = 8  # columns, and bars
MAIN: Final = ("grpc", "rest")

HOLDS: Final = (
    ("client.", "What the client saw beyond the edge's span: the generator, the kernel, the connection."),
    ("edge.", "Its filters, the journal, waiting for its worker; transcoding too, where native gRPC was not measured."),
    (
        "serialization.",
        "Encoding and decoding messages: of services and clients measured alone before the run, as CPU time; of the edge "
        "(transcoding) what JSON calls take there beyond native gRPC calls.",
    ),
    ("edge to sidecar.", "The wire and mutual TLS, there and back, and waiting until either Envoy comes to read."),
    ("sidecar.", "Its filters, and a fault that was put there."),
    ("sidecar to service.", "The socket, and gRPC's or Sanic's own machinery and queue around the handler."),
    ("service.", "The handler; of B its pauses."),
)
LIMIT: Final = (
    "Being traced costs a call some 0.1 to 0.3 ms at one user, which the parts hold and the mean of all calls does not: the "
    "shorter a call, the more of it. Under load the calls of all users wait for each other, and a hop holds its share of that."
)
CHECK: Final = (
    "The same once more, in another way. By traces: what edge, sidecar and the wire between them take of a call. Left out: how much "
    "longer a call takes than one straight to the service. At a constant rate the two should be close; in a closed loop they need "
    "not be, for a service that is called directly is asked more often, and calls queue there instead."
)


def section(accounts: Sequence[Account]) -> Iterator[Block]:
    if not accounts:
        return
    shown = sorted(accounts, key=lambda account: account.question.users)[:SHOWN_MAX]
    yield Heading("Where the time goes")
    yield Paragraph("Means of traced calls by hop; their sum beside the mean of all calls of the same runs.")
    yield from _apart(accounts)
    yield Figures(tuple(map(_figure, shown)))
    yield table(shown)
    if len(accounts) > len(shown):
        left_out = [title(account) for account in accounts if account not in shown]
        yield Paragraph(f"Not shown, but in raw.parquet: {words.listed(left_out, NAMED_MAX)}.")
    checks = tuple(_checks(accounts))
    if checks:
        yield Heading("The Envoys, by traces and by leaving them out", 3)
        yield Paragraph(CHECK)
        yield Points(checks)
    yield Heading("What a hop holds", 3)
    yield Points(HOLDS)
    yield Paragraph(LIMIT)


def table(accounts: Sequence[Account]) -> Table:
    """A hop a row; gRPC, REST, their difference, then every other path that was traced."""
    paths = _in_order({*MAIN, *(path for account in accounts for path in account.paths)})
    rows: list[tuple[Entry, ...]] = []
    for account in accounts:
        rows += [(title(account), *row) for row in _rows(account, paths)]
    arms = [_arm(path) for path in paths]
    arms.insert(len(MAIN), "difference")
    caption = "In ms. Difference: gRPC beyond REST, ± half of the 95 % interval over pairs of runs"
    return Table(("load and route", "hop", *arms), grouped(rows), labels=2, by_first=True, caption=caption)


def title(account: Account) -> str:
    return f"{words.sentence(words.load(account.question))}: {words.shown(account.route, 40)}"


def _rows(account: Account, paths: Sequence[str]) -> Iterator[tuple[Entry, ...]]:
    several = [account.paths.get(path) for path in paths]
    difference = account.difference
    decimals = _decimals(min(found.whole_us for found in account.paths.values()))

    def ms(us: float) -> str:
        return f"{round(us / MS, decimals) + 0.0:,.{decimals}f}"  # never -0.00

    def row(name: str, entries: Sequence[str | None], beyond: Interval | None = None) -> tuple[Entry, ...]:
        figures: list[Entry] = [entry or words.UNKNOWN for entry in entries]
        figures.insert(len(MAIN), estimate(beyond, MS, decimals) if beyond else words.UNKNOWN)
        return (name, *figures)

    for part in PARTS:
        known = [part != SERIALIZATION or (found and found.parts_us[part] > 0) for found in several]
        of_paths = [
            ms(found.parts_us[part]) if found and is_known else None
            for found, is_known in zip(several, known, strict=True)
        ]
        yield row(part, of_paths, difference.parts[part] if difference and all(known[: len(MAIN)]) else None)
    sums = [ms(found.sum_us) if found else None for found in several]
    yield row("sum of the parts", sums, difference.sum if difference else None)
    wholes = [ms(found.whole_us) if found else None for found in several]
    yield row("mean of all calls", wholes, difference.whole if difference else None)
    yield row("how far apart", [_percent(found) if found else None for found in several])
    yield row("traced calls", [f"{found.traces:,}" if found else None for found in several])


def _figure(account: Account) -> Figure:
    several = [Stack(_arm(path), account.paths[path].parts_us) for path in _in_order(account.paths)]
    name = f"{title(account)} by hop"
    return Figure(name, partial(pictures.stacks, name, several, of="time of a call"))


def _apart(accounts: Sequence[Account]) -> Iterator[Block]:
    """What does not add up, before any of it is shown."""
    off = []
    for account in accounts:
        said = [
            f"{_arm(path)} by {_percent(account.paths[path])}, of {words.many(account.paths[path].traces, 'call')}"
            for path in _in_order(account.paths)
            if not account.paths[path].adds_up
        ]
        off += [f"{title(account)} ({'; '.join(said)})"] if said else []
    if off:
        yield Notice(
            f"Do not rely on these splits: their parts miss the mean of all calls by more than {APART_PERCENT_MAX:g} %: "
            f"{words.listed(off, NAMED_MAX)}.",
            "bad",
        )


def _checks(accounts: Sequence[Account]) -> Iterator[tuple[str, str]]:
    for account in accounts:
        for check in account.checks:
            how = "take" if check.left_out_us >= 0 else "save"
            yield (
                f"{title(account)}, {_arm(check.path)}.",
                f"By traces edge and sidecar take {words.latency(check.traced_us)} of a call; against runs without Envoys "
                f"they {how} {words.latency(abs(check.left_out_us))}.",
            )


def _in_order(paths: Iterable[str]) -> list[str]:
    """The two that are compared first."""
    known = [*MAIN, *PATHS]
    return sorted(paths, key=lambda path: (known.index(path) if path in known else len(known), path))[:PATHS_MAX]


def _arm(path: str) -> str:
    return words.ARMS.get(path, words.shown(path))


def _percent(found: Breakdown) -> str:
    return f"{found.apart_percent:+.1f} %" if math.isfinite(found.apart_percent) else words.UNKNOWN


def _decimals(whole_us: float) -> int:
    """So many that the smallest hop of a call still has a digit."""
    return 3 if whole_us < 100_000 else 2 if whole_us < 1_000_000 else 1
