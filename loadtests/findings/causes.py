"""What the difference of the two paths is made of, in words. Pure.

Rules: nothing is said where an account does not add up, or where its parts do not come to the difference that all calls
show, give or take BESIDE_MAX of it; no part is named whose interval includes zero; the largest comes first.
"""

from collections.abc import Iterable
from typing import Final

from loadtests.findings import words
from loadtests.findings.accounts import Account
from loadtests.findings.breakdown import SERIALIZATION
from loadtests.findings.intervals import REPETITIONS_MIN, Interval

NAMED_MAX: Final = 3  # parts that make a path slower
BESIDE_MAX: Final = 0.25  # of the difference: two sums that are each 5 % off may be so much apart and more
SHARE_MIN: Final = 0.05  # of the difference; smaller parts explain nothing

_PLACES: Final = {
    "client": "between client and edge",
    "edge": "at the edge",
    SERIALIZATION: "in serialization",
    "edge to sidecar": "between edge and sidecar",
    "sidecar": "in the sidecar",
    "sidecar to service": "between sidecar and service",
    "service": "in the service's handler",
}
_MACHINERY: Final = {"grpc": "gRPC's own machinery in Python", "rest": "Sanic's own machinery"}


def causes(account: Account, *, route_is_known: bool) -> str:
    """ "Of the 2.4 ms that gRPC takes longer, 1.6 ms lie between sidecar and service (gRPC's own machinery in Python), …";
    empty where no cause can be named. route_is_known: it need not be said which route this is."""
    difference = account.difference
    if not difference or not all(account.paths[path].adds_up for path in ("grpc", "rest")):
        return ""
    longer_us = abs(difference.whole.mean)
    if not _is_sure(difference.whole) or abs(difference.sum.mean - difference.whole.mean) > BESIDE_MAX * longer_us:
        return ""
    slower, sign = ("grpc", 1) if difference.whole.mean > 0 else ("rest", -1)
    sure = {
        part: sign * of.mean
        for part, of in difference.parts.items()
        if _is_sure(of) and abs(of.mean) >= SHARE_MIN * longer_us
    }
    more = [part for part in sorted(sure, key=lambda part: -sure[part]) if sure[part] > 0][:NAMED_MAX]
    less = [part for part in sorted(sure, key=lambda part: sure[part]) if sure[part] < 0][:NAMED_MAX]
    if not more:
        return ""
    first, *others = [f"{words.latency(sure[part])} {{}}{_place(part, account, slower)}" for part in more]
    of_route = "" if route_is_known else f" for {words.shown(account.route)}"
    said = [first.format("lie "), *(other.format("") for other in others)]
    said += [f"{words.latency(-sure[part])} less {_place(part, account, slower)}" for part in less]
    return f"Of the {words.latency(longer_us)} that {words.ARMS[slower]} takes longer{of_route}, {', '.join(said)}."


def _is_sure(of: Interval) -> bool:
    """Whether zero lies outside; what is known from too few repetitions is not sure."""
    return of.n >= REPETITIONS_MIN and (of.low > 0 or of.high < 0)


def _place(part: str, account: Account, slower: str) -> str:
    return _PLACES[part] + "".join(f" ({note})" for note in _notes(part, account, slower))


def _notes(part: str, account: Account, slower: str) -> Iterable[str]:
    if part == "sidecar to service":
        yield _MACHINERY[slower]
    elif part == "edge" and slower == "grpc" and account.transcoding_us is None:
        yield "transcoding among it"
    elif part == SERIALIZATION and slower == "grpc" and account.transcoding_us:
        yield f"transcoding at the edge {words.latency(account.transcoding_us)}"
