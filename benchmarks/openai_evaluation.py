"""Predicting 1,000 rows by an endpoint with 200 ms latency: what share of the speed of parallel slots is reached,
and what becomes of the rows where a fifth of the replies fails.

    python -m benchmarks.openai_evaluation              # 1,000 rows, 50 slots
    python -m benchmarks.openai_evaluation 200 16

The endpoint is a process of its own on this machine, the client the real SDK. A loop sends one
row after the other, as the original script did, and is measured on 25 rows; slots allow as much as so many loops.
"""

import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.labelled import SENTIMENTS, LabelledRow
from data.prompts import REVIEW
from openai_jobs.endpoint import Endpoint
from openai_jobs.request_pool import RequestPool, RetryPolicy
from openai_jobs.response_log import ResponseLog
from recipes.noisy_labels.learners.openai_answers import chat_requests, prediction
from tests.fake_openai import KEY, Fake

LATENCY_S = 0.2
FAULTS = 0.2
LOOPED = 25
ROUNDS = 3


def says(model: str, text: str) -> tuple[str, float]:
    """The label is in the text, so that a mislabelled row shows."""
    return (SENTIMENTS[1], 0.9) if "an even film" in text else (SENTIMENTS[0], 0.1)


def serve(pipe: Any, settings: dict[str, Any]) -> None:
    """The endpoint: it sends its address, and on a message what it recorded."""
    fake = Fake(says=says, **settings).start()
    pipe.send(fake.address)
    pipe.recv()
    pipe.send((dict(fake.answered), dict(fake.failed), len(fake.chats), fake.most_at_once))


@contextmanager
def endpoint(**settings: Any) -> Iterator[tuple[Endpoint, Any]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, settings), daemon=True)
    process.start()
    try:
        yield Endpoint(ours.recv(), KEY), ours
    finally:
        process.terminate()
        process.join()


def rows(n: int) -> list[LabelledRow]:
    return [LabelledRow(f"Number {i}, {'an even' if i % 2 else 'a dull'} film.", i % 2, f"r{i}", i) for i in range(n)]


def predict(
    place: Endpoint, folder: Path, n: int, slots: int, policy: RetryPolicy
) -> tuple[float, RequestPool, list[Any]]:
    """(seconds, the pool, one prediction a row or its error)."""
    log = ResponseLog(folder / "answers.jsonl")
    chosen = chat_requests(rows(n), "m", REVIEW, 8, 7)
    pool = RequestPool(place, log, slots, policy)
    start = time.perf_counter()
    pool.run(chosen)
    seconds = time.perf_counter() - start
    log.close()
    outcomes = [
        prediction(log.replies[q.digest], SENTIMENTS) if q.digest in log.replies else pool.errors[q.digest]
        for q in chosen
    ]
    return seconds, pool, outcomes


def speed(n: int, slots: int) -> None:
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder, endpoint(latency_s=LATENCY_S) as (place, _):
            predict(
                place, Path(folder, "warm"), 1, 1, RetryPolicy()
            )  # the SDK is imported and a connection was made once
            loop_s, _, _ = predict(place, Path(folder, "loop"), LOOPED, 1, RetryPolicy())
            seconds, _, outcomes = predict(place, Path(folder, "slots"), n, slots, RetryPolicy())
        ideal_s = -(-n // slots) * LATENCY_S
        looped_s = loop_s / LOOPED * n
        right = sum(each.outcome == i % 2 for i, each in enumerate(outcomes))
        print(
            f"{n} rows, {slots} slots: {seconds:.2f} s, {looped_s / seconds:.1f} times a loop's {looped_s:.0f} s; "
            f"{looped_s / slots / seconds:.2f} of {slots} such loops, {ideal_s / seconds:.2f} of the bare latencies' "
            f"{ideal_s:.2f} s; {right} right",
            flush=True,
        )


def faults(n: int, slots: int) -> None:
    policy = RetryPolicy(first_s=0.05, longest_s=1.0, timeout_s=2.0)
    with tempfile.TemporaryDirectory() as folder, endpoint(latency_s=LATENCY_S, faults=FAULTS) as (place, pipe):
        seconds, pool, outcomes = predict(place, Path(folder), n, slots, policy)
        again_s, once_more, _ = predict(place, Path(folder), n, slots, policy)
        lines = [json.loads(line) for line in (Path(folder) / "answers.jsonl").read_text().splitlines()]
        pipe.send("and?")
        answered, failed, chats, most = pipe.recv()
    errors = [each for each in outcomes if isinstance(each, str)]
    wrong = sum(not isinstance(each, str) and each.outcome != i % 2 for i, each in enumerate(outcomes))
    print(f"faults at {FAULTS:.0%}: {seconds:.1f} s, {chats:,} requests, most at once {most}; failed: {failed}")
    print(
        f"  {n - len(errors)} answered, {len(errors)} reported as errors, {n - len(outcomes)} lost, {wrong} "
        f"mislabelled, {sum(times > 1 for times in answered.values())} sent again once answered, {len(lines)} lines in "
        f"the log; a second run sent {once_more.sent} more in {again_s:.2f} s"
    )


if __name__ == "__main__":
    count, at_once = (int(word) for word in (sys.argv[1:] + ["1000", "50"][len(sys.argv) - 1 :]))
    speed(count, at_once)
    faults(count, at_once)
