"""Durations as people read them."""


def duration(ns: int) -> str:
    """Three digits and a unit: 812 µs, 6.42 ms, 1.20 s."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if abs(ns) >= size * 0.9995:  # 999.6 µs is 1.00 ms
            value = ns / size
            digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
            return f"{value:.{digits if unit != 'µs' else 0}f} {unit}"
    return f"{ns} ns" if ns else "0"


def rounded(ns: int) -> str:
    """A round duration without its zeros: 2 ms, 2.5 s."""
    figure, _, unit = duration(ns).partition(" ")
    return f"{float(figure):g} {unit}".strip()


def ticks(total_ns: int, at_most: int) -> list[int]:
    """Round moments from 0 to `total_ns`, at most `at_most` of them: the marks of an axis."""
    if total_ns <= 0 or at_most < 2:
        return [0]
    step = 1
    while total_ns // step >= at_most:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2  # 1, 2, 5, 10, 20, 50 …
    return list(range(0, total_ns + 1, step))
