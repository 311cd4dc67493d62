"""The explorer's page in a real browser: what it shows equals what the command line prints."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from browser import browser, logs_of  # noqa: F401
from tiny_models import ROOT, TinyModels, run

FLAGS = ("--cpu", "--max-len-a", "2", "--max-len-b", "5", "--beam", "3")
NEURON = "encoder.layers.1:7"


@pytest.fixture(scope="module")
def address(tiny: TinyModels) -> Iterator[str]:
    pytest.importorskip("gradio")
    command = "from fairseq_neuron_plugin.cli.explore import main; main()"
    given = [str(tiny.data), "--path", str(tiny.stock), *FLAGS]
    process = subprocess.Popen(
        [sys.executable, "-c", command, *given],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield re.search(r"http://\S+", process.stdout.readline()).group()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_holding_a_neuron(browser, address: str, tiny: TinyModels, tmp_path) -> None:  # noqa: F811
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    line = (tiny.corpus / "test.en").read_text("utf-8").splitlines()[0]
    wait = WebDriverWait(browser, 30)

    def element(selector: str):
        return wait.until(lambda page: page.find_element(By.CSS_SELECTOR, selector))

    def translations() -> list[str]:
        shown = browser.find_elements(By.CSS_SELECTOR, ".translation")
        return [each.get_attribute("data-text") for each in shown]

    logs_of(browser)
    browser.get(address)
    element("#sentence textarea, #sentence input").send_keys(line)
    element("#go").click()
    wait.until(lambda page: len(translations()) == 2)
    plain = translations()
    assert plain[0] == plain[1]
    assert [word.text for word in browser.find_elements(By.CSS_SELECTOR, "#coloured .w")] == (
        line.split(" ")
    )

    chosen = element("#neuron input")
    chosen.click()
    chosen.send_keys(Keys.CONTROL, "a")
    chosen.send_keys(NEURON, Keys.ENTER)
    wait.until(lambda page: NEURON in element("#coloured .note").text)
    number = element("#value input[type=number]")
    number.send_keys(Keys.CONTROL, "a")
    number.send_keys("9", Keys.TAB)
    element("#hold").click()
    wait.until(lambda page: element("#held textarea, #held input").get_attribute("value"))
    assert element("#held textarea, #held input").get_attribute("value") == f"{NEURON}=9"
    wait.until(lambda page: "--set" in element("#keep textarea").get_attribute("value"))

    (tmp_path / "line").write_text(f"{line}\n", "utf-8")
    run(
        *("fairseq-neuron-generate", tiny.data, "--path", tiny.stock, *FLAGS),
        *("--set", f"{NEURON}=9", "--input", tmp_path / "line", "--output-dir", tmp_path / "c"),
    )
    expected = [
        (tmp_path / "c" / f"{end}.txt").read_text("utf-8").strip() for end in ("before", "after")
    ]
    assert translations() == expected

    element("#release").click()
    wait.until(lambda page: not element("#held textarea, #held input").get_attribute("value"))
    wait.until(lambda page: translations() == plain)

    console, requests = logs_of(browser)
    assert [message for message in console if message.startswith("SEVERE")] == []
    elsewhere = [url for url in requests if not url.startswith(("http://127.0.0.1:", "blob:"))]
    assert elsewhere == []
