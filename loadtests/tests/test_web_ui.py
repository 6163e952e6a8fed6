"""Locust's web UI in a real browser: start a run, see the charts move, stop it."""

import csv
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from mesh.tests.browser import a_browser
from mesh.tests.meshes import Mesh, until
from mesh.tests.ports import ports

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(240)]

free_port = ports(21_000, 22_000)


@pytest.fixture(scope="module")
def ui(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """`meshlog bench --ui`, as a user opens it: its address, and where its files go."""
    results, port = tmp_path_factory.mktemp("results"), free_port()
    command = [sys.executable, "-m", "mesh.cli.main", "bench", "--name", mesh.name, "--ui", "--ui-port", str(port)]
    environment = {**os.environ, "MESHLOG_HOME": str(mesh.home)}
    with subprocess.Popen(
        [*command, "--results", str(results)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert f"http://127.0.0.1:{port}" in process.stdout.readline()
            yield f"http://127.0.0.1:{port}", next(results.iterdir())
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    with a_browser() as driver:
        yield driver


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats/requests", timeout=10) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def named(browser: webdriver.Chrome, name: str) -> WebElement:
    return WebDriverWait(browser, 30).until(lambda b: b.find_element(By.NAME, name))


def press(browser: webdriver.Chrome, text: str) -> None:
    button = WebDriverWait(browser, 30).until(
        lambda b: b.find_element(
            By.XPATH,
            f"//button[translate(normalize-space(.),'abcdefghijklmnopqrstuvwxyz','ABCDEFGHIJKLMNOPQRSTUVWXYZ')='{text}']",
        )
    )
    browser.execute_script("arguments[0].click()", button)


def drawn(browser: webdriver.Chrome) -> str:
    """What the charts look like now: the content of every canvas."""
    shown: str = browser.execute_script(
        "return Array.from(document.querySelectorAll('canvas')).map(c => c.toDataURL()).join('|')"
    )
    return shown


def test_a_run_is_started_watched_and_stopped(ui: tuple[str, Path], browser: webdriver.Chrome, mesh: Mesh) -> None:
    url, directory = ui
    browser.get(url)
    shown = WebDriverWait(browser, 30).until(
        lambda b: "GrpcPathUser" in (text := b.find_element(By.TAG_NAME, "body").text) and text
    )
    for port in (mesh.grpc, mesh.rest):
        assert f"http://127.0.0.1:{port}" in shown  # the hosts are filled in
    assert "ReferenceGrpcUser" not in shown  # what is not there is not offered
    for name, value in (("userCount", "5"), ("spawnRate", "5")):
        named(browser, name).clear()
        named(browser, name).send_keys(value)
    press(browser, "START")
    until(lambda: stats(url)["state"] == "running" and stats(url)["user_count"] == 5, 60)
    until(lambda: stats(url)["stats"][-1]["num_requests"] > 20, 60)
    said = stats(url)
    assert {row["name"] for row in said["stats"]} == {"/a/hello", "/b/numbers", "Aggregated"}
    assert said["fail_ratio"] == 0
    assert len(said["workers"]) == (os.cpu_count() or 1)
    assert sum(worker["user_classes_count"].get("GrpcPathUser", 0) for worker in said["workers"]) == 5

    browser.get(f"{url}/?tab=charts")
    WebDriverWait(browser, 60).until(lambda _: drawn(browser))
    before = drawn(browser)
    WebDriverWait(browser, 60).until(lambda _: drawn(browser) != before)  # the charts move

    press(browser, "STOP")
    until(lambda: stats(url)["state"] == "stopped", 60)
    rows = until(lambda: _rows(directory / "locust_stats.csv"), 30)
    assert {"/a/hello", "/b/numbers", "Aggregated"} <= {row["Name"] for row in rows}
    assert (directory / "locust_stats_history.csv").exists()


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row["Request Count"] != "0"]
