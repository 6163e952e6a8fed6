"""The page at `/`, in a real browser."""

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from mesh.tests.browser import a_browser
from mesh.tests.meshes import Mesh

pytestmark = pytest.mark.mesh


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with a_browser() as driver:
        yield driver


def section(browser: webdriver.Chrome, form: str) -> WebElement:
    return browser.find_element(By.XPATH, f"//form[@id='{form}']")


def said(browser: webdriver.Chrome, form: str, text: str) -> str:
    """What the form shows, once that holds `text`."""
    WebDriverWait(browser, 10).until(lambda _: text in section(browser, form).text)
    return section(browser, form).text


@pytest.mark.parametrize(
    ("path", "answer"), [("grpc", "Olá, Zoë & <Ana>! [A]"), ("rest", "Olá, Zoë & <Ana>! [A-REST]")]
)
def test_a_is_called_by_form_and_its_answer_and_trace_are_shown(
    mesh: Mesh, browser: webdriver.Chrome, path: str, answer: str
) -> None:
    browser.get(f"http://localhost:{getattr(mesh, path)}/")
    name = section(browser, "a").find_element(By.NAME, "name")
    name.clear()
    name.send_keys("Zoë & <Ana>")
    section(browser, "a").find_element(By.TAG_NAME, "button").click()
    shown = said(browser, "a", "Duration")
    assert answer in shown
    assert "200" in shown
    link = section(browser, "a").find_element(By.TAG_NAME, "a")
    browser.get(link.get_attribute("href") or "")
    WebDriverWait(browser, 10).until(lambda _: "5 spans" in browser.find_element(By.TAG_NAME, "body").text)


def test_the_values_of_b_are_shown_as_they_arrive(mesh: Mesh, browser: webdriver.Chrome) -> None:
    browser.get(f"http://localhost:{mesh.grpc}/")
    form = section(browser, "b")
    for field, value in (("count", "50"), ("delay_ms", "100")):
        form.find_element(By.NAME, field).clear()
        form.find_element(By.NAME, field).send_keys(value)
    call, stop = form.find_elements(By.TAG_NAME, "button")
    call.click()
    WebDriverWait(browser, 10).until(lambda _: len(form.find_elements(By.CSS_SELECTOR, "output span")) >= 3)
    assert stop.is_enabled()  # the stream is still going
    stop.click()
    assert "stopped" in said(browser, "b", "stopped")
    assert len(form.find_elements(By.CSS_SELECTOR, "output span")) < 50


def test_what_b_refuses_is_told(mesh: Mesh, browser: webdriver.Chrome) -> None:
    browser.get(f"http://localhost:{mesh.grpc}/")
    form = section(browser, "b")
    count = form.find_element(By.NAME, "count")
    browser.execute_script("arguments[0].removeAttribute('max')", count)
    count.clear()
    count.send_keys("20000")
    form.find_element(By.TAG_NAME, "button").click()
    assert "400" in said(browser, "b", "count")
