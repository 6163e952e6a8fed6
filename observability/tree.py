"""How the spans of one trace hang together, and where the time went. Pure.

Rules: every span appears exactly once, whatever is sent; the order of arrival changes nothing; nothing is recursive,
for a chain may be as long as a sender likes. A span whose parent has not come, or that is its own ancestor, is
*adrift*: it stands at the top, after the roots. Clocks of different machines differ: a child that would begin
before its parent, or after its parent's end, is moved into it, and says by how much.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observability.spans import Span

Interval = tuple[int, int]  # nanoseconds, the end excluded


@dataclass(frozen=True, slots=True)
class Tree:
    roots: tuple[Span, ...]
    adrift: tuple[Span, ...]
    children: dict[str, tuple[Span, ...]]  # by span id; in the order they began

    @property
    def complete(self) -> bool:
        """A root is here, and so is every parent. More may still come: nobody says how many spans a call makes."""
        return bool(self.roots) and not self.adrift


@dataclass(frozen=True, slots=True)
class Row:
    """A span at its place in the waterfall."""

    span: Span
    last: tuple[bool, ...]  # of each level down to its own: is it the last of its siblings?
    adrift: bool  # at the top, but not a root
    start_ns: int  # on the clock of the root
    end_ns: int
    skew_ns: int  # what was added to the sender's clock
    own: tuple[Interval, ...]  # when nothing below it was at work
    place: str  # where `own` was spent: a service, or "a → b" between two

    @property
    def depth(self) -> int:
        return len(self.last) - 1

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns

    @property
    def own_ns(self) -> int:
        return sum(end - start for start, end in self.own)


@dataclass(frozen=True, slots=True)
class Hop:
    """A step from one service to the next: what the way there and back took, and what was spent behind it."""

    caller: str
    callee: str
    out_ns: int  # from the caller's first moment to the callee's
    inside_ns: int
    back_ns: int


def tree(spans: Iterable[Span]) -> Tree:
    """The spans of one trace as a forest. Of two with the same id, the one that ended last stays."""
    kept = _without_duplicates(spans)
    below: dict[str, list[Span]] = defaultdict(list)
    roots, adrift = [], []
    for span in kept.values():
        if not span.parent_id:
            roots.append(span)
        elif span.parent_id in kept:
            below[span.parent_id].append(span)
        else:
            adrift.append(span)
    reached = _reached_from([*roots, *adrift], below)
    for span in kept.values():
        if span.span_id not in reached:  # it hangs on a loop: cut the loop open
            cut = _on_loop(span, kept)
            below[cut.parent_id].remove(cut)
            adrift.append(cut)
            reached |= _reached_from([cut], below)
    adrift.sort(key=_order)
    children = {span_id: tuple(siblings) for span_id, siblings in below.items() if siblings}
    return Tree(tuple(roots), tuple(adrift), children)


def rows(forest: Tree) -> list[Row]:
    """Every span, parents before children, roots before what is adrift."""
    found: list[Row] = []
    moved = _moved(forest)
    waiting: list[tuple[Span, tuple[bool, ...], bool]] = [(top, (True,), True) for top in reversed(forest.adrift)]
    waiting += [(top, (True,), False) for top in reversed(forest.roots)]
    while waiting:
        span, last, adrift = waiting.pop()
        below = forest.children.get(span.span_id, ())
        skew, interval = moved[span.span_id]
        own = _uncovered(interval, [moved[child.span_id][1] for child in below])
        found.append(Row(span, last, adrift, *interval, skew, own, _place(span, below)))
        waiting += [(child, (*last, child is below[-1]), False) for child in reversed(below)]
    return found


def hops(placed: Sequence[Row]) -> list[Hop]:
    """Every step between two services, in the order of the waterfall."""
    found, path = [], list[Row]()
    for row in placed:
        del path[row.depth :]
        if path and path[-1].span.service != row.span.service:
            above = path[-1]
            out, back = row.start_ns - above.start_ns, above.end_ns - row.end_ns
            found.append(Hop(above.span.service, row.span.service, max(0, out), row.duration_ns, max(0, back)))
        path.append(row)
    return found


def time_spent(placed: Sequence[Row]) -> dict[str, int]:
    """Nanoseconds by place, in the order of the waterfall: each service by itself, and between two of them."""
    spent: dict[str, int] = {}
    for row in placed:
        spent[row.place] = spent.get(row.place, 0) + row.own_ns
    return spent


def _order(span: Span) -> tuple[int, str]:
    return span.start_ns, span.span_id


def _without_duplicates(spans: Iterable[Span]) -> dict[str, Span]:
    same: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        same[span.span_id].append(span)
    kept = [
        copies[0] if len(copies) == 1 else max(copies, key=lambda s: (s.end_ns, repr(s))) for copies in same.values()
    ]
    return {span.span_id: span for span in sorted(kept, key=_order)}


def _reached_from(tops: Iterable[Span], below: dict[str, list[Span]]) -> set[str]:
    reached, waiting = set[str](), list(tops)
    while waiting:
        span = waiting.pop()
        reached.add(span.span_id)
        waiting += below.get(span.span_id, ())
    return reached


def _on_loop(span: Span, kept: dict[str, Span]) -> Span:
    """Where the way up from `span` comes round for the first time."""
    passed = set[str]()
    while span.span_id not in passed:
        passed.add(span.span_id)
        span = kept[span.parent_id]
    return span


def _moved(forest: Tree) -> dict[str, tuple[int, Interval]]:
    """By span id: what was added to its clock, and when it was at work by the clock of its root."""
    moved: dict[str, tuple[int, Interval]] = {}
    waiting: list[tuple[Span, Span | None]] = [(top, None) for top in (*forest.roots, *forest.adrift)]
    while waiting:
        span, parent = waiting.pop()
        skew = _skew(span, parent, *moved[parent.span_id]) if parent else 0
        moved[span.span_id] = skew, (span.start_ns + skew, span.end_ns + skew)
        waiting += [(child, span) for child in forest.children.get(span.span_id, ())]
    return moved


def _skew(span: Span, parent: Span, parent_skew: int, parent_interval: Interval) -> int:
    """What to add to a span's clock so that it begins while its parent is at work: nothing, if that can be."""
    if span.service == parent.service:
        return parent_skew  # one service, one clock
    begin, end = parent_interval
    for skew in (0, parent_skew):
        if begin <= span.start_ns + skew <= end:
            return skew
    spare = max(0, (end - begin) - (span.end_ns - span.start_ns))
    return begin + spare // 2 - span.start_ns  # as long on the way there as back


def _place(span: Span, children: Sequence[Span]) -> str:
    """A client's own time is what passed on the way to the service that it called."""
    others = [child.service for child in children if child.service != span.service]
    return f"{span.service} → {others[0]}" if span.kind == "client" and others else span.service


def _uncovered(whole: Interval, covered: Iterable[Interval]) -> tuple[Interval, ...]:
    free, position = [], whole[0]
    for start, end in sorted(covered):
        if start > position:
            free.append((position, min(start, whole[1])))
        position = max(position, end)
        if position >= whole[1]:
            break
    if position < whole[1]:
        free.append((position, whole[1]))
    return tuple(free)
