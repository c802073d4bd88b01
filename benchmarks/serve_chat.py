"""Chats over HTTP, with nothing else to do and while a job is trained: seconds to the first token, and tokens a second.

    python -m benchmarks.serve_chat [--rounds 5]

The server is a process with the bundled base, of which four LoRA adapters (rank 16, random) are registered. The client
is the real SDK in one event loop, on the same cores: sixteen streams, spread over the base and the four, asked at once
and then one at a time, in turns. Then a job begins, on rows that take longer than the rest, and the same is measured
while it runs; how far it comes meanwhile is told. Answers are as long as asked for: the end token is biased away.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import openai

from benchmarks.chat_speed import Bound, be_quiet, make_adapters, register, show
from benchmarks.engine_speed import RANK, STREAMS, Turn, words_from
from tests.processes import Launcher, wait_until
from tests.serve.served import KEY, Served, upload

ROOT = Path(__file__).resolve().parent.parent
NEW_TOKENS = 60


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="each with and without a job; one more warms up")
    args = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="parley-chat-") as place:
        store = f"sqlite:///{place}/mlflow.db"
        os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
        os.chdir(place)  # where MLflow puts its artifacts
        launcher = Launcher(Path(place))
        try:
            models = ["bundled", *make_models()]
            served = Served(launcher, Path(place), store, base_model="bundled").start()
            share_priority(served)
            bounds = measure(served, models, args.rounds)
        finally:
            launcher.close()
    sys.exit(not show(bounds))


def share_priority(served: Served) -> None:
    """Give the server's session the CPU share of this one: Linux shares out by sessions."""
    assert served.step
    own = Path("/proc/self/autogroup")
    if own.exists():
        Path(f"/proc/{served.step.pid}/autogroup").write_text(own.read_text().split()[-1])


def make_models() -> list[str]:
    """References of four versions of the bundled base."""
    from train.base_model import BUNDLED

    return register(BUNDLED, list(make_adapters(BUNDLED, Path("adapters"), 4, RANK)))


def measure(served: Served, models: Sequence[str], rounds: int) -> list[Bound]:
    """With nothing else to do, then beside a job."""
    asyncio.run(race(served, models, 1))
    calm = asyncio.run(race(served, models, rounds))
    client = served.client(strict=False)
    job = client.fine_tuning.jobs.create(
        model="bundled", training_file=upload(client, long_rows()), hyperparameters={"n_epochs": 50}
    )

    def step() -> int:
        return max((each.data["step"] for each in client.fine_tuning.jobs.list_events(job.id) if each.data), default=0)

    began = wait_until(step, "a first step of the job")
    busy = asyncio.run(race(served, models, rounds))
    ended = step()
    print(f"the job went from step {began} to {ended} meanwhile")
    if client.fine_tuning.jobs.retrieve(job.id).status != "running":
        sys.exit("the job did not run all the time")
    client.fine_tuning.jobs.cancel(job.id)
    return [*bounds_of("alone", calm), *bounds_of("beside a job", busy)]


async def race(served: Served, models: Sequence[str], rounds: int) -> dict[str, list[Turn]]:
    """Both ways of asking, in turns."""
    client = openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key=KEY, max_retries=0)
    found: dict[str, list[Turn]] = {"at once": [], "one at a time": []}
    async with client:
        for i in range(rounds):
            for name in list(found)[:: 1 if i % 2 else -1]:
                found[name].append(await ask(client, models, name == "at once"))
    return found


async def ask(client: openai.AsyncOpenAI, models: Sequence[str], at_once: bool) -> Turn:
    """All sixteen."""
    start = time.perf_counter()
    asked = [answer(client, models[i % len(models)], i) for i in range(STREAMS)]
    done = await asyncio.gather(*asked) if at_once else [await each for each in asked]
    tokens = sum(count for count, _ in done)
    return Turn(tokens, time.perf_counter() - start, [first for _, first in done])


async def answer(client: openai.AsyncOpenAI, model: str, number: int) -> tuple[int, float]:
    """(tokens, seconds to the first text) of one stream."""
    start = time.perf_counter()
    text = words_from(number, 40 + number % 5)
    messages: Any = [{"role": "user", "content": text}]
    stream = await client.chat.completions.create(
        model=model, messages=messages, max_tokens=NEW_TOKENS, seed=number, stream=True, logit_bias={str(end()): -100},
        stream_options={"include_usage": True},
    )  # fmt: skip
    return await read_stream(stream, start)


async def read_stream(stream: Any, start: float) -> tuple[int, float]:
    """(tokens, seconds from ``start`` to the first text) of a stream of chunks that ends with its usage."""
    first, tokens = 0.0, 0
    async for chunk in stream:
        if not first and chunk.choices and chunk.choices[0].delta.content:
            first = time.perf_counter() - start
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return tokens, first


@cache
def end() -> int:
    """The bundled base's end token."""
    from inference.loading import load_tokenizer
    from train.base_model import BUNDLED

    return load_tokenizer(BUNDLED).eos_token_id


def long_rows() -> bytes:
    """Rows that keep a trainer busy."""
    rows = []
    for i in range(2000):
        text = words_from(i, 12)
        messages = [{"role": "user", "content": f"{i} {text}"}, {"role": "assistant", "content": text}]
        rows.append(json.dumps({"messages": messages}))
    return "\n".join(rows).encode()


def bounds_of(name: str, turns: dict[str, list[Turn]]) -> list[Bound]:
    """A line a way of asking, and what must be reached."""
    for each, done in turns.items():
        first = [s * 1e3 for one in done for s in one.first_s]
        rate = median(one.rate for one in done)
        print(f"{name}, {each:<14} {rate:7.0f} tokens/s, first token: median {median(first):5.0f} ms, "
              f"p95 {quantiles(first, n=20)[-1]:5.0f} ms", flush=True)  # fmt: skip
    ratios = [a.rate / b.rate for a, b in zip(turns["at once"], turns["one at a time"], strict=True)]
    first = [s for one in turns["at once"] for s in one.first_s]
    return [
        Bound(f"{name}: tokens/s next to one at a time", ">=", 3.0, median(ratios),
              f"{min(ratios):.2f} to {max(ratios):.2f}"),
        Bound(f"{name}: s to the first token of 16, p95", "<=", 1.0, quantiles(first, n=20)[-1],
              f"worst {max(first):.3f}"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
