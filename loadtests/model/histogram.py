"""Latencies in microseconds, kept so that percentiles of many processes and runs can be merged: an HDR histogram.

Rules: 1 µs to 10 minutes, three significant digits (an error of 0.1 % at most); what is longer counts as 10 minutes.
Locust's own statistics round to whole milliseconds, and to two digits: too coarse to compare 0.8 ms with 1.1 ms.
"""

from collections.abc import Sequence

LOWEST_US = 1
HIGHEST_US = 600_000_000
SIGNIFICANT_DIGITS = 3


class Histogram:
    def __init__(self) -> None:
        from hdrh.histogram import HdrHistogram  # of the extra `loadtests`: `meshlog bench --help` works without

        self._counts = HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)

    def record_us(self, latency_us: int) -> None:
        self._counts.record_value(min(max(latency_us, LOWEST_US), HIGHEST_US))

    def add_encoded(self, encoded: str) -> None:
        """Add what another histogram encoded. Raises: ValueError."""
        if encoded:
            try:
                self._counts.decode_and_add(encoded.encode("ascii"))
            except Exception as error:  # the library raises many kinds for what it cannot read
                raise ValueError(f"this is no HDR histogram: {error}") from error

    def encoded(self) -> str:
        """The standard compressed form (HdrHistogram V2, base64), which other tools read as well."""
        return str(self._counts.encode().decode("ascii"))

    @property
    def count(self) -> int:
        return int(self._counts.total_count)

    def percentile_us(self, percent: float) -> float:
        """nan where nothing was recorded."""
        if not self.count:
            return float("nan")
        return float(self._counts.get_value_at_percentile(percent))

    def percentiles_us(self, percents: Sequence[float]) -> list[float]:
        """Several in one walk over the counts, which is what takes the time."""
        if not self.count:
            return [float("nan")] * len(percents)
        found = self._counts.get_percentile_to_value_dict(sorted(percents))
        return [float(found[percent]) for percent in percents]

    @property
    def max_us(self) -> float:
        return float(self._counts.get_max_value()) if self.count else float("nan")
