"""The chat page as a process: how soon it opens and answers, thirty people at once, and its memory over 500 chats.

Run from the project's root::

    python -m benchmarks.demo_load [--quick] [--store sqlite:////folder/mlflow.db --left pirate/3:base --right pirate/3]

Without ``--store`` a store with one random LoRA version of the bundled base is made in a temporary folder: what it says
is nonsense, what it costs is not. ``python -m steps.demo`` is started on it, some times to see how soon the page opens
and a first question is answered, at once and after a while, then once more for the crowd and the long run. Questions
go through the endpoint ``compare`` by plain HTTP. Memory is that of its processes together (VmRSS), measured every few
chats; by how much it grows is the line of least squares over all chats but the first fifth.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from benchmarks.chat_speed import Bound, be_quiet, make_adapters, register, show, slope

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ("Hello there!", "What do you think of the sea?", "Tell me about your day.", "Where can I buy bread?")
START_S, ANSWER_S = 120.0, 90.0
LATER_S = 5.0
MOST_GROWTH_MB = 1.0  # per 100 chats: what counts as flat
NO_PROXY = build_opener(ProxyHandler({}))  # the page is on this machine, whatever the environment says
WAIT = re.compile(r"try again|queue is full|busy|wait", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """How one question went: answered, told to wait, refused, hung or broken; seconds; what was said about it."""

    how: str
    seconds: float
    said: str = ""


@dataclass(frozen=True)
class Question:
    """What is asked: two versions, and the tokens that each may answer with."""

    left: str
    right: str
    new_tokens: int

    def body(self, number: int) -> bytes:
        """The endpoint's arguments, in its order; the seed differs from question to question."""
        values = [
            PROMPTS[number % len(PROMPTS)],
            self.left,
            self.right,
            "",
            "",
            0.7,
            1.0,
            self.new_tokens,
            number,
            "",
            "",
        ]
        return json.dumps({"data": values}).encode()


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few starts and chats: to see that it runs")
    parser.add_argument("--store", default="", help="MLflow address of a store with versions")
    parser.add_argument("--left", default="", help="with --store: the left side's reference")
    parser.add_argument("--right", default="", help="with --store: the right side's reference")
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--chats", type=int, default=0, help="default 500, or 50 with --quick")
    parser.add_argument("--starts", type=int, default=0, help="of each kind; default 5, or 1 with --quick")
    parser.add_argument("--new_tokens", type=int, default=60, help="a side of a first answer and in the crowd")
    parser.add_argument("--chat_tokens", type=int, default=16, help="a side in the long run")
    args = parser.parse_args()
    if args.store and not (args.left and args.right):
        parser.error("--store needs --left and --right: versions to talk to, such as pirate/3:base and pirate/3")
    be_quiet()
    with tempfile.TemporaryDirectory() as place:
        store, left, right = (args.store, args.left, args.right) if args.store else make_store(Path(place))
        question = Question(left, right, args.new_tokens)
        short = Question(left, right, args.chat_tokens)
        bounds = [*openings(store, Path(place), question, args.starts or (1 if args.quick else 5))]
        bounds += crowd_and_long_run(store, Path(place), question, short, args.people,
                                     args.chats or (50 if args.quick else 500))  # fmt: skip
    sys.exit(not show(bounds))


def make_store(place: Path) -> tuple[str, str, str]:
    """A store with one random LoRA version of the bundled base: (address, left reference, right reference)."""
    from train.base_model import BUNDLED

    store = f"sqlite:///{place}/mlflow.db"
    os.environ["MLFLOW_TRACKING_URI"] = store
    os.chdir(place)  # where MLflow puts its artifacts
    right = register(BUNDLED, list(make_adapters(BUNDLED, place / "adapters", 1)))[0]
    return store, f"{right}:base", right


# The page


@dataclass(frozen=True)
class Page:
    """A page that runs: its process, address, what it writes to stderr, and when it was started (perf_counter)."""

    process: subprocess.Popen[bytes]
    address: str
    errors: Path
    started: float

    def rss_mb(self) -> float:
        """Memory that its processes have now: the page, the models and Python's own helper of the two."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        statuses = (Path(f"/proc/{pid}/status").read_text() for pid in (self.process.pid, *children))
        return sum(int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) for status in statuses) / 1024

    def tracebacks(self) -> int:
        """How many stack traces its log holds."""
        return self.errors.read_text().count("Traceback (most recent call last)")

    def wait_until_open(self) -> float:
        """Seconds from its start to the first 200 of the page."""
        while time.perf_counter() - self.started < START_S:
            if self.process.poll() is not None:
                sys.exit(f"the page ended at once:\n{self.errors.read_text()[-2000:]}")
            try:
                with NO_PROXY.open(f"{self.address}/", timeout=START_S) as answer:
                    answer.read()
                    return time.perf_counter() - self.started
            except (URLError, OSError):
                time.sleep(0.02)
        sys.exit(f"the page did not open within {START_S:g} s:\n{self.errors.read_text()[-2000:]}")

    def ask(self, question: Question, number: int = 0) -> Outcome:
        """Ask and read the answer to its end."""
        start = time.perf_counter()
        try:
            how, said = self._ask(question, number)
        except HTTPError as error:
            said = error.read().decode(errors="replace")
            how = "told to wait" if error.code in (429, 503) else "refused"
            said = f"{error.code} {said}"
        except TimeoutError:
            how, said = "hung", ""
        except OSError as error:
            timed_out = isinstance(getattr(error, "reason", None), TimeoutError)
            how, said = "hung" if timed_out else "broken", str(error)
        return Outcome(how, time.perf_counter() - start, said[:200])

    def _ask(self, question: Question, number: int) -> tuple[str, str]:
        call = f"{self.address}/gradio_api/call/compare"
        posted = Request(call, question.body(number), {"Content-Type": "application/json"})
        with NO_PROXY.open(posted, timeout=ANSWER_S) as answer:
            event = json.load(answer)["event_id"]
        until = time.perf_counter() + ANSWER_S
        name, data, last = "", "", ""
        with NO_PROXY.open(f"{call}/{event}", timeout=ANSWER_S) as stream:
            for raw in stream:
                key, _, value = raw.decode().rstrip("\n").partition(": ")
                name, data = (value, data) if key == "event" else (name, value) if key == "data" else (name, data)
                if time.perf_counter() > until:
                    return "hung", "events came, but no end"
                if key != "data":
                    continue
                if name == "error":
                    return "told to wait" if WAIT.search(data) else "refused", data
                last = data if name == "generating" else last
                if name == "complete":
                    return _judge(data, last)
        return "broken", "the stream ended before the answer"


def _judge(complete: str, generating: str) -> tuple[str, str]:
    """Whether the last frame that came holds two whole replies."""
    for text in (complete, generating):
        frames = json.loads(text or "null") or []
        if frames and isinstance(frames[0], dict):
            ended = [reply["ended"] for reply in frames[0]["replies"]]
            whole = frames[0]["done"] and all(how in ("end", "length") for how in ended)
            return "answered" if whole else "refused", f"{ended}"
    return "broken", "no frame came"


@contextmanager
def open_page(store: str, place: Path) -> Iterator[Page]:
    """The page on ``store``, started as users start it; ended afterwards."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "MLFLOW_TRACKING_URI": store, "PARLEY_OUTPUTS": str(place / "outputs")}
    errors, out = place / f"page-{port}.err", place / f"page-{port}.out"
    command = [sys.executable, "-m", "steps.demo", "--port", str(port)]
    with errors.open("wb") as err, out.open("wb") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=err)
    try:
        yield Page(process, f"http://{HOST}:{port}", errors, started)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print("the page had to be killed: it did not end within 15 s of being asked to")


# What is measured


def openings(store: str, place: Path, question: Question, starts: int) -> Iterator[Bound]:
    """How soon the page opens and answers, asked at once and after a while; every start is a new process."""
    opened: list[float] = []
    answered: dict[float, list[float]] = {0.0: [], LATER_S: []}
    for i in range(starts):
        for pause_s in (0.0, LATER_S) if i % 2 else (LATER_S, 0.0):
            with open_page(store, place) as page:
                opened.append(page.wait_until_open())
                time.sleep(pause_s)
                outcome = page.ask(question)
                _require_answer(outcome, page)
                answered[pause_s].append(outcome.seconds)
    yield _soonest("s from the start to the first page", 5.0, opened)
    yield _soonest("s to a whole first answer, asked at once", 2.0, answered[0.0])
    yield _soonest(f"s to a whole first answer, asked {LATER_S:g} s later", 2.0, answered[LATER_S])


def _require_answer(outcome: Outcome, page: Page) -> None:
    if outcome.how != "answered":
        sys.exit(f"the first question was {outcome.how}: {outcome.said}\n{page.errors.read_text()[-2000:]}")


def _soonest(what: str, bound: float, seconds: list[float]) -> Bound:
    return Bound(what, "<=", bound, median(seconds), f"{min(seconds):.2f} to {max(seconds):.2f}, {len(seconds)} starts")


def crowd_and_long_run(
    store: str, place: Path, question: Question, short: Question, people: int, chats: int
) -> Iterator[Bound]:
    """Everyone at once, then one chat after the other; both with the same process."""
    with open_page(store, place) as page:
        page.wait_until_open()
        _require_answer(page.ask(question), page)
        outcomes = crowd(page, question, people)
        after = page.ask(question)
        sizes, long_run = chat_on(page, short, chats)
        alive = page.process.poll() is None
        tracebacks = page.tracebacks()
    counts = Counter(outcome.how for outcome in outcomes)
    done = sorted(outcome.seconds for outcome in outcomes if outcome.how == "answered")
    took = f"answered in {done[0]:.1f} to {done[-1]:.1f} s" if done else "nobody was answered"
    said = ", ".join(f"{count} {how}" for how, count in counts.most_common())
    yield Bound(f"of {people} at once: answered or told to wait", ">=", people,
                counts["answered"] + counts["told to wait"], f"{said}; {took}")  # fmt: skip
    yield Bound("answered after the crowd (1: yes)", ">=", 1, after.how == "answered", f"in {after.seconds:.1f} s")
    counts = Counter(outcome.how for outcome in long_run)
    said = ", ".join(f"{count} {how}" for how, count in counts.most_common())
    yield Bound(f"of {chats} chats: answered", ">=", chats, counts["answered"], said)
    yield _growth(sizes)
    yield Bound("stack traces in its log", "<=", 0, tracebacks)
    yield Bound("runs at the end (1: yes)", ">=", 1, alive)
    odd = {outcome.said for outcome in [*outcomes, *long_run] if outcome.how not in ("answered", "told to wait")}
    waits = {re.sub(r"\d+", "N", outcome.said) for outcome in outcomes if outcome.how == "told to wait"}
    print("\n".join([*(f"told to wait: {line}" for line in sorted(waits)), *(f"odd: {line}" for line in sorted(odd))]))


def crowd(page: Page, question: Question, people: int) -> list[Outcome]:
    """Everyone asks at the same moment."""
    together, outcomes = threading.Barrier(people), []

    def visit(number: int) -> None:
        together.wait()
        outcomes.append(page.ask(question, number))

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(people)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    return outcomes


def chat_on(page: Page, question: Question, chats: int) -> tuple[list[tuple[int, float]], list[Outcome]]:
    """One chat after the other: (chats so far, MB) now and then, and how each went."""
    outcomes: list[Outcome] = []
    sizes = [(0, page.rss_mb())]
    for number in range(1, chats + 1):
        outcome = page.ask(question, number)
        if outcome.how == "told to wait":  # this minute's tokens are used up: what a visitor would do
            time.sleep(float((re.findall(r"in (\d+) s", outcome.said) or ["5"])[0]) + 1)
            outcome = page.ask(question, number)
        outcomes.append(outcome)
        if page.process.poll() is not None:
            break
        if number % max(1, chats // 100) == 0:
            sizes.append((number, page.rss_mb()))
    return sizes, outcomes


def _growth(sizes: Sequence[tuple[int, float]]) -> Bound:
    """Memory over all chats but the first fifth, which warms up."""
    last = sizes[-1][0]
    kept: list[Any] = [(number, mb) for number, mb in sizes if number >= last / 5]
    every = (kept[-1][0] - kept[0][0]) / max(1, len(kept) - 1)
    per_100 = slope([mb for _, mb in kept]) / every * 100
    warm = f"{sizes[0][1]:.0f} MB before, {kept[0][1]:.0f} after {kept[0][0]} chats, {kept[-1][1]:.0f} after {last}"
    return Bound("MB that 100 more chats take", "<=", MOST_GROWTH_MB, per_100, warm)


if __name__ == "__main__":
    main()
