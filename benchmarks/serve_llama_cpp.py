"""Chats of SmolLM2 over HTTP: this server, weights held in 16 bits, against llama.cpp's with the same as GGUF.

    python -m benchmarks.serve_llama_cpp [--rounds 3] [--outtype bf16] [--new_tokens 48]

Both servers are processes on the same cores that answer in turns, asked by the real SDK, greedily, the end token
biased away. llama.cpp is the one of ``requirements-export.txt``, its GGUF is made by its own converter. Three ways:

- "alone": one stream;
- "eight": eight streams of prompts of about 200 tokens that begin with the same system message, another one each
  round, so that nothing is known from the round before;
- "sixteen": sixteen streams over four adapters of rank 16. llama.cpp's server applies one set of adapters at a time, so
  it is given four streams at a time, four times, and the base alone: its own adapters would cost it more.

Bounds: tokens a second alone at least .7 times llama.cpp's, eight at least .9, sixteen at least 1.5; seconds to the
first token of eight at most llama.cpp's. Exits with 1 where one is missed.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import openai

from benchmarks.chat_speed import Bound, be_quiet, make_adapters, register, show
from benchmarks.engine_speed import RANK, Turn, words_from
from benchmarks.serve_chat import ROOT, read_stream, share_priority
from tests.processes import Launcher, free_port
from tests.serve.served import KEY, Served

WAYS = {"alone": 1, "eight": 8, "sixteen": 16}
#: Starts llama.cpp's server: file, port, threads, streams.
LLAMA = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[3])
params.n_parallel, params.n_ctx = int(sys.argv[4]), 1024 * int(sys.argv[4])
params.use_jinja, params.verbosity = True, -1
server = xllamacpp.Server(params)
print("ready", flush=True)
sys.stdin.read()
"""


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="one more warms up")
    parser.add_argument("--outtype", default="bf16", choices=["bf16", "f16"])
    parser.add_argument("--new_tokens", type=int, default=48)
    args = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="parley-llama-") as place:
        store = f"sqlite:///{place}/mlflow.db"
        os.environ |= {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
        os.chdir(place)  # where MLflow puts its artifacts
        base = smollm2()
        models = register(base, list(make_adapters(base, Path("adapters"), 4, RANK)), load="bf16")
        launcher = Launcher(Path(place))
        try:
            with llama_server(base, Path(place), args.outtype) as llama:
                served = Served(
                    launcher, Path(place), store, base_model="smollm2", load="bf16", chat_threads=os.cpu_count()
                )
                served.env["OMP_NUM_THREADS"] = str(os.cpu_count())
                share_priority(served.start())
                ours = f"{served.address}/v1"
                turns = asyncio.run(race(ours, llama, models, args.rounds, args.new_tokens))
        finally:
            launcher.close()
    sys.exit(not show(bounds_of(turns)))


def smollm2() -> Path:
    """The folder of SmolLM2."""
    from train.base_model import resolve

    return resolve("smollm2").folder


@contextmanager
def llama_server(base: Path, place: Path, outtype: str) -> Iterator[str]:
    """llama.cpp's server with ``base``; yields its address."""
    from recipes.export.gguf_converter import convert

    file, port = place / "base.gguf", free_port()
    convert(base, file, outtype)
    command = [sys.executable, "-c", LLAMA, str(file), str(port), str(os.cpu_count()), str(max(WAYS.values()))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        if "ready" not in process.stdout.readline():
            sys.exit("llama.cpp's server did not start")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.stdin.close()
        process.wait()


async def race(ours: str, llama: str, models: Sequence[str], rounds: int, new_tokens: int) -> dict[str, list[Turn]]:
    """Every way at both servers, in turns; the first round is left out."""
    clients = {
        "here": openai.AsyncOpenAI(base_url=ours, api_key=KEY, max_retries=0, timeout=600),
        "llama.cpp": openai.AsyncOpenAI(base_url=llama, api_key="none", max_retries=0, timeout=600),
    }
    found: dict[str, list[Turn]] = {f"{way} {name}": [] for way in WAYS for name in clients}
    for i in range(rounds + 1):
        for way, streams in WAYS.items():
            for name, client in list(clients.items())[:: 1 if i % 2 else -1]:
                own = models if way == "sixteen" and name == "here" else ["smollm2"]
                system = words_from(i, 150) if way == "eight" else ""
                at_once = 4 if way == "sixteen" and name == "llama.cpp" else streams
                turn = await ask(client, [own[k % len(own)] for k in range(streams)], system, i, new_tokens, at_once)
                if i:
                    found[f"{way} {name}"].append(turn)
                    print(f"{way:8} {name:10} {turn.rate:6.1f} tokens/s, first token after "
                          f"{median(turn.first_s):.2f} s", flush=True)  # fmt: skip
    return found


async def ask(
    client: openai.AsyncOpenAI, models: Sequence[str], system: str, seed: int, new_tokens: int, at_once: int
) -> Turn:
    """One stream for each of ``models``, so many at a time."""
    start = time.perf_counter()
    done: list[tuple[int, float]] = []
    for first in range(0, len(models), at_once):
        group = list(enumerate(models))[first : first + at_once]
        done += await asyncio.gather(*(answer(client, model, system, 100 * seed + k, new_tokens) for k, model in group))
    return Turn(sum(count for count, _ in done), time.perf_counter() - start, [first for _, first in done])


async def answer(
    client: openai.AsyncOpenAI, model: str, system: str, number: int, new_tokens: int
) -> tuple[int, float]:
    """(tokens, seconds to the first text) of one stream."""
    start = time.perf_counter()
    messages: Any = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": f"{number} {words_from(number, 40)}"})
    stream = await client.chat.completions.create(
        model=model, messages=messages, max_tokens=new_tokens, temperature=0, stream=True,
        logit_bias={str(END): -100}, stream_options={"include_usage": True},
    )  # fmt: skip
    return await read_stream(stream, start)


END = 2  # SmolLM2's end token


def bounds_of(turns: dict[str, list[Turn]]) -> list[Bound]:
    """What must be reached, as ratios of each round's."""
    bounds = []
    for way, least in {"alone": 0.7, "eight": 0.9, "sixteen": 1.5}.items():
        pairs = list(zip(turns[f"{way} here"], turns[f"{way} llama.cpp"], strict=True))
        ratios = [one.rate / other.rate for one, other in pairs]
        bounds.append(Bound(f"{way}: tokens/s next to llama.cpp's", ">=", least, median(ratios),
                            f"{min(ratios):.2f} to {max(ratios):.2f}"))  # fmt: skip
        if way == "eight":
            first = [median(one.first_s) / median(other.first_s) for one, other in pairs]
            bounds.append(Bound("eight: s to the first token next to llama.cpp's", "<=", 1.0, median(first),
                                f"{min(first):.2f} to {max(first):.2f}"))  # fmt: skip
    return bounds


if __name__ == "__main__":
    main()
