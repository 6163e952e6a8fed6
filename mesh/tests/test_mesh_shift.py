"""`meshlog shift` changes a running mesh without a failed call."""

import asyncio
import time

import pytest

from mesh.tests.load import load
from mesh.tests.meshes import Mesh, a_mesh, until_async

pytestmark = pytest.mark.mesh


async def test_a_shift_under_load_fails_no_call_and_the_answers_follow_the_weights() -> None:
    with a_mesh("shift") as mesh:
        await asyncio.to_thread(mesh.up)
        async with load(mesh.grpc, "/a/hello?name=x") as calls:
            await asyncio.sleep(1.0)
            before = mesh.status()["position"]
            await asyncio.to_thread(mesh.meshlog, "shift", "a", "v1=70", "v2=30")
            await until_async(lambda: mesh.status()["healthy"])
            shifted = time.time()
            await asyncio.sleep(3.0)
        assert calls.failed == []
        position = mesh.status()["position"]
        assert position == before + 1
        after = [answer for answer in calls.answers if answer.begun > shifted]
        assert {answer.headers["x-meshlog-position"] for answer in after} == {str(position)}
        share = sum(answer.headers["x-meshlog-version"] == "v2" for answer in after) / len(after)
        # a fair draw of n calls is off by more than five standard deviations once in two million times
        assert abs(share - 0.30) < 5 * (0.3 * 0.7 / len(after)) ** 0.5

        def recorded() -> bool:
            return calls.ids() <= {call["call_id"] for call in mesh.calls()}

        await until_async(recorded, 30)
        _positions_only_grow(mesh, before, position)


def _positions_only_grow(mesh: Mesh, before: int, position: int) -> None:
    """v2 is first seen under the new position, and from the first call of the new position on the weights are the new ones."""
    for call in mesh.calls():
        assert call["position"] in (before, position)
        assert call["version"] == "v1" or call["position"] == position


def test_a_shift_that_makes_no_sense_is_refused_in_one_sentence_and_appends_nothing(mesh: Mesh) -> None:
    before = mesh.status()["position"]
    for weights, said in [
        (["v1=90"], "sum"),
        (["v3=100"], "v3"),
        (["v1=ninety"], "VERSION=PERCENT"),
        (["v1=90", "v2=20"], "sum"),
    ]:
        refused = mesh.meshlog("shift", "a", *weights, check=False)
        assert refused.returncode != 0
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "no service is called 'zebra'" in mesh.meshlog("shift", "zebra", "v1=100", check=False).stderr
    assert mesh.status()["position"] == before


def test_a_shift_to_the_weights_in_force_is_no_news(mesh: Mesh) -> None:
    before = mesh.status()["position"]
    assert "nothing was appended" in mesh.meshlog("shift", "a", "v1=100", "v2=0").stdout
    assert mesh.status()["position"] == before
