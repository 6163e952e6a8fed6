"""Percentiles taken together are those taken one by one."""

import math
import random

from loadtests.model.histogram import Histogram


def test_percentiles_in_one_walk_are_those_of_many() -> None:
    for seed in range(50):
        chance, histogram = random.Random(seed), Histogram()
        for _ in range(chance.randrange(1, 300)):
            histogram.record_us(round(chance.lognormvariate(8, 1)))
        percents = [99.0, 50.0, 99.9, 0.0, 100.0]
        assert histogram.percentiles_us(percents) == [histogram.percentile_us(percent) for percent in percents]


def test_percentiles_of_nothing_are_not_known() -> None:
    assert all(math.isnan(value) for value in Histogram().percentiles_us([50, 99]))
