"""The reference's B-REST: collects its values, asleep in one of FastAPI's threads. `python -m loadtests.reference.b_rest`"""

import sys
import time

from loadtests.reference.serving import serve_rest


def numbers(count: int = 5, delay_ms: int = 0) -> dict[str, list[int]]:
    values = []
    for value in range(1, count + 1):
        values.append(value)
        time.sleep(max(delay_ms, 0) / 1_000)
    return {"values": values}


if __name__ == "__main__":
    raise SystemExit(serve_rest("b-rest", 50_062, {"/b/numbers": numbers}, sys.argv[1:]))
