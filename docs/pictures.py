"""The pictures of real runs in ``docs/pictures``: a study's curves, a run in the MLflow UI, a label mask.

    python docs/pictures.py [--only study|run]

Each job runs as its users run it, in a temporary folder with an empty store; about three minutes on two cores. The
pictures of the chat page are made by ``tests/demo/test_browser.py`` (see CONTRIBUTING.md). Needs a Chromium.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTH, HEIGHT = 1700, 1080


def step(folder: Path, name: str, *flags: str) -> str:
    """Run an entry point in ``folder`` to its end; returns what it printed."""
    command = [sys.executable, "-m", f"steps.{name}", *flags]
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process whose runs are kept in ``folder``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "PARLEY"))}
    return {**env, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "PYTHONPATH": str(ROOT)}


def study(folder: Path) -> None:
    """The curves of a study of wrong labels: TF-IDF, two kinds, six rates, three seeds, 2,000 rows."""
    step(folder, "study", "--rates", "0,0.1,0.2,0.3,0.4,0.5", "--n_train", "2000", "--n_test", "1000")
    shutil.copy(next(folder.rglob("rates_tfidf.png")), PICTURES / "study.png")


def run(folder: Path) -> None:
    """The default run of ``pirate``: its curves in the MLflow UI and its label mask."""
    printed = step(folder, "pirate", "--base_model", "bundled")
    print(printed)
    run_id = re.findall(r"\b[0-9a-f]{32}\b", printed)[0]
    with browser() as tab, mlflow_ui(folder) as address:
        loss_charts(tab, f"{address}/#/experiments/1/runs/{run_id}/model-metrics")
        mask = next(folder.rglob("mask_sample.html"))
        tab.set_viewport_size({"width": 900, "height": 420})
        tab.goto(mask.as_uri())
        tab.screenshot(path=PICTURES / "mask.png")


def loss_charts(tab: Any, page: str) -> None:
    """The run's charts of training and validation loss, in the MLflow UI."""
    tab.goto(page)
    tab.get_by_text("Model training").click(timeout=60_000)
    tab.goto(page)
    tab.wait_for_selector(".js-plotly-plot", timeout=60_000)
    assistant = tab.get_by_role("button", name="Close")
    if assistant.count():
        assistant.first.click()
    tab.get_by_placeholder("Search metric charts").fill("^(train|eval)/loss")
    time.sleep(5)  # the charts are drawn anew, without a sign of their end
    left = {"x": 0, "y": 0, "width": 760, "height": HEIGHT}  # a chart takes a third of the width
    tab.screenshot(path=PICTURES / "mlflow.png", clip=left)


@contextmanager
def browser() -> Iterator[Any]:
    """A tab of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        opened.close()


@contextmanager
def mlflow_ui(folder: Path) -> Iterator[str]:
    """The address of an MLflow UI over the runs in ``folder``."""
    command = [sys.executable, "-u", "-m", "steps.ui"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield next(found[0] for line in process.stdout if (found := re.findall(r"http://[\d.:]+", line)))
    finally:
        process.terminate()
        process.wait()


JOBS: dict[str, Callable[[Path], None]] = {"study": study, "run": run}


def main() -> None:
    """Make the pictures that the command line names, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=list(JOBS))
    wanted = parser.parse_args().only
    for name, job in JOBS.items():
        if wanted in (None, name):
            with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
                job(Path(folder))


if __name__ == "__main__":
    main()
