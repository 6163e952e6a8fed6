"""What wrk has added to its latencies is taken out again, exactly."""

from hypothesis import given
from hypothesis import strategies as st

from loadtests.agreement.tools.wrk import uncorrected

MEASURED = st.dictionaries(st.integers(1, 5_000), st.integers(1, 50), min_size=1, max_size=60)


def corrected(measured: dict[int, int], expected_us: int) -> dict[int, int]:
    """As wrk does it: upwards, for each latency from twice the interval on, one sample an interval below it, down to one."""
    counts = dict(measured)
    for latency in range(2 * expected_us, max(measured) + 1):
        for added in range(latency - expected_us, expected_us, -expected_us) if latency in measured else ():
            counts[added] = counts.get(added, 0) + measured[latency]
    return counts


def test_a_latency_of_many_intervals_is_given_samples_below_it_that_were_never_taken() -> None:
    assert corrected({10: 3, 45: 1}, 10) == {10: 3, 45: 1, 35: 1, 25: 1, 15: 1}


@given(MEASURED, st.integers(1, 3_000))
def test_whatever_was_measured_comes_back(measured: dict[int, int], expected_us: int) -> None:
    assert uncorrected(list(corrected(measured, expected_us).items()), expected_us) == sorted(measured.items())
