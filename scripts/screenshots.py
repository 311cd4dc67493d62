#!/usr/bin/env python3
"""Take the pictures of the report and of the explorer that stand in docs/.

Needs Chromium, chromedriver and Selenium. Everything after -- goes to fairseq-neuron-explore.

    scripts/screenshots.py runs/quickstart --card encoder.layers.1:58 --sentence 'I know him .' \\
        --hold encoder.layers.1:58=10 --output docs -- acts.train --path a.pt data-bin
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

BIN = Path(sys.executable).parent
COLOURS = 96  # of a picture that is kept small


def read_arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", help="of the report")
    parser.add_argument("--section", default="sweeps", help="of the overview")
    parser.add_argument("--card", required=True, metavar="NEURON")
    parser.add_argument("--sentence", required=True)
    parser.add_argument("--hold", required=True, metavar="SPEC=V")
    parser.add_argument("--output", type=Path, required=True)
    given = sys.argv[1:]
    split = given.index("--") if "--" in given else len(given)
    return parser.parse_args(given[:split]), given[split + 1 :]


def start_browser(profile: str) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    options.add_argument("--disable-background-networking")
    options.add_argument(f"--user-data-dir={profile}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def keep(png: bytes, path: Path) -> None:
    path.write_bytes(png)
    with Image.open(path) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def report(page: Any, args: argparse.Namespace, folder: Path) -> None:
    path = folder / "report.html"
    command = [BIN / "fairseq-neuron-report", *args.inputs, "--output", path, "--cards", "1000"]
    subprocess.run([*map(str, command), "--label-top", "10"], check=True)
    page.set_window_size(1200, 900)
    page.get(f"{path.as_uri()}#{args.section}")
    time.sleep(1)
    keep(page.get_screenshot_as_png(), args.output / "report.png")
    page.set_window_size(1200, 1600)  # the whole card is to be seen
    page.get("about:blank")
    page.get(f"{path.as_uri()}#search={args.card}")
    time.sleep(1)
    cards = [card for card in page.find_elements(By.CSS_SELECTOR, ".card") if card.is_displayed()]
    if not cards:
        sys.exit(f"the report has no card of {args.card}")
    keep(cards[0].screenshot_as_png, args.output / "neuron-card.png")


def explorer(page: Any, args: argparse.Namespace, flags: list[str]) -> None:
    command = [str(BIN / "fairseq-neuron-explore"), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        page.set_window_size(1100, 1080)
        page.get(re.search(r"http://\S+", process.stdout.readline()).group())
        page.implicitly_wait(30)
        page.find_element(By.CSS_SELECTOR, "#sentence textarea").send_keys(args.sentence)
        held = page.find_element(By.CSS_SELECTOR, "#held textarea, #held input")
        held.send_keys(args.hold)
        chosen = page.find_element(By.CSS_SELECTOR, "#neuron input")
        chosen.send_keys(args.hold.partition("=")[0], Keys.ENTER)
        page.find_element(By.CSS_SELECTOR, "#go").click()
        page.find_element(By.CSS_SELECTOR, ".translation")
        time.sleep(4)
        keep(page.get_screenshot_as_png(), args.output / "explorer.png")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    args, flags = read_arguments()
    for take in (
        lambda page, folder: report(page, args, folder),
        lambda page, _: explorer(page, args, flags),
    ):
        with tempfile.TemporaryDirectory() as folder:
            page = start_browser(f"{folder}/profile")
            try:
                take(page, Path(folder))
            finally:
                page.quit()


if __name__ == "__main__":
    main()
