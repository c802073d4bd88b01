"""How much faster the chat engine answers 16 streams at once than one at a time, and how long a first token takes.

Run from the project's root::

    python -m benchmarks.engine_speed [--quick] [--only_memory]

The bundled base and four LoRA adapters of it (rank 16, every linear layer, random) are registered in a real MLflow
store in a temporary folder. Sixteen conversations, spread over the base and the four, are then answered in turns by

- "at once": all of them asked at the same moment in one event loop, as a server's clients do;
- "one at a time": the same requests to the same engine, each asked when the one before has ended;
- "generate": plain Transformers, and PEFT with one adapter switched in a request, one after the other;
- "joining": as "at once", but each is asked a moment after the one before, while the others run.

Answers are as long as asked for: the end token is biased away. Ratios are medians of each round's; the first round
warms up. All must say the same, and the greedy answers must be those of ``generate``. Then 10,000 short chats, no two
alike, show what memory they leave behind, after 6,000 others, in which compiled shapes and free memory add up.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.chat_speed import Bound, be_quiet, make_adapters, own_rss_bytes, register, show

STREAMS = 16
RANK = 16
CHATS, FILLING_CHATS = 10_000, 6000
WORDS = "Tell me about the boat and the sea and where you have been since we met".split()


@dataclass(frozen=True)
class Turn:
    """What one contender did: tokens made, all seconds, each request's seconds to its first token, and the texts."""

    tokens: int
    seconds: float
    first_s: list[float]
    texts: Sequence[str] = ()

    @property
    def rate(self) -> float:
        """Tokens a second, all streams together."""
        return self.tokens / self.seconds


def words_from(start: int, n: int) -> str:
    """``n`` words of a prompt, which begin elsewhere for each ``start``."""
    return " ".join(WORDS[(start + j) % len(WORDS)] for j in range(n))


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it runs")
    parser.add_argument("--only_memory", action="store_true", help="only what chats leave behind")
    parser.add_argument("--rounds", type=int, default=0, help="default 9, or 3 with --quick; the first warms up")
    parser.add_argument("--new_tokens", type=int, default=60, help="an answer")
    parser.add_argument("--prompt_words", type=int, default=40)
    parser.add_argument("--temperature", type=float, default=1.0, help="of the drawn answers; OpenAI's default")
    args = parser.parse_args()
    rounds = args.rounds or (3 if args.quick else 9)
    be_quiet()
    with tempfile.TemporaryDirectory() as place:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        os.chdir(place)  # where MLflow puts its artifacts
        met = measure(args, rounds)
    sys.exit(not met)


def measure(args: argparse.Namespace, rounds: int) -> bool:
    """All contenders in turns, greedy and drawn; whether the bounds are met."""
    from serve.engine.engine import Engine
    from train.base_model import BUNDLED, resolve

    adapters = list(make_adapters(BUNDLED, Path("adapters"), 4, RANK))
    references = ["base:bundled", *register(BUNDLED, adapters)]
    engine = Engine(lambda name: resolve(name).folder, 1 << 30)
    bounds: list[Bound] = []
    speeds = () if args.only_memory else (("greedy", 0.0), ("drawn", args.temperature))
    for name, temperature in speeds:
        requests = make_requests(references, args.prompt_words, args.new_tokens, temperature)
        contenders: dict[str, Callable[[], Turn]] = {
            "at once": lambda asked=requests: asyncio.run(at_once(engine, asked)),
            "one at a time": lambda asked=requests: asyncio.run(one_at_a_time(engine, asked)),
            "joining": lambda asked=requests: asyncio.run(at_once(engine, asked, gap_s=0.02)),
        }
        if not temperature:
            contenders["generate"] = Plain(BUNDLED, dict(zip(references[1:], adapters, strict=True)), requests).run
        turns: dict[str, list[Turn]] = {each: [] for each in contenders}
        for i in range(rounds):
            for each in list(contenders)[:: 1 if i % 2 else -1]:
                turns[each].append(contenders[each]())
        report(name, {each: done[1:] for each, done in turns.items()})
        bounds += bounds_of(name, {each: done[1:] for each, done in turns.items()})
    bounds.append(chats(engine, references))
    engine.close()
    return show(bounds)


def make_requests(references: Sequence[str], words: int, new_tokens: int, temperature: float) -> list[Any]:
    """Sixteen, in turns over the versions, none of which can end by itself."""
    from inference.loading import load_tokenizer
    from serve.engine.engine import Request
    from train.base_model import BUNDLED

    ban = {load_tokenizer(BUNDLED).eos_token_id: -100.0}
    asked = []
    for i in range(STREAMS):
        text = words_from(i, words + i % 5)
        asked.append(Request(references[i % len(references)], (("user", text),), new_tokens, temperature, seed=i,
                             logit_bias=ban))  # fmt: skip
    return asked


async def at_once(engine: Any, requests: Sequence[Any], gap_s: float = 0.0) -> Turn:
    """All together, each ``gap_s`` after the one before."""
    start = time.perf_counter()

    async def later(i: int) -> tuple[str, int, float]:
        await asyncio.sleep(gap_s * i)
        return await answer(engine, requests[i])

    done = await asyncio.gather(*(later(i) for i in range(len(requests))))
    return turn(done, time.perf_counter() - start)


async def one_at_a_time(engine: Any, requests: Sequence[Any]) -> Turn:
    """Each when the one before has ended."""
    start = time.perf_counter()
    done = [await answer(engine, request) for request in requests]
    return turn(done, time.perf_counter() - start)


async def answer(engine: Any, request: Any) -> tuple[str, int, float]:
    """Text, tokens, and seconds to the first piece."""
    start, first, texts = time.perf_counter(), 0.0, []
    asked = await engine.generate(request)
    async for piece in asked:
        first = first or time.perf_counter() - start
        texts.append(piece.text)
    return "".join(texts), asked.completion_tokens, first


def turn(done: Sequence[tuple[str, int, float]], seconds: float) -> Turn:
    """What was done, as one."""
    return Turn(sum(tokens for _, tokens, _ in done), seconds, [s for _, _, s in done], [text for text, _, _ in done])


class Plain:
    """The requests by ``generate``, one after the other, on models that are loaded already."""

    def __init__(self, base: Path, adapters: dict[str, Path], requests: Sequence[Any]):
        from peft import PeftModel

        from inference.loading import load, load_model

        self.bare, self.tokenizer = load(base)
        first = next(iter(adapters))
        self.worn = PeftModel.from_pretrained(load_model(base), str(adapters[first]), adapter_name=_key(first))
        for reference in list(adapters)[1:]:
            self.worn.load_adapter(str(adapters[reference]), adapter_name=_key(reference))
        self.worn.eval()
        self.requests = requests

    def run(self) -> Turn:
        """Tokens of every request; the first token comes with the last."""
        start = time.perf_counter()
        done = [self._answer(request) for request in self.requests]
        return turn(done, time.perf_counter() - start)

    def _answer(self, request: Any) -> tuple[str, int, float]:
        import torch

        from data.chat_template import prompt_ids

        start = time.perf_counter()
        ids = torch.tensor([prompt_ids(self.tokenizer, (), request.messages[0][1])])
        model = self.bare
        if not request.reference.startswith("base:"):
            self.worn.set_adapter(_key(request.reference))
            model = self.worn
        with torch.inference_mode():
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                                 max_new_tokens=request.max_tokens, min_new_tokens=request.max_tokens)  # fmt: skip
        tokens = out[0, ids.shape[1] :].tolist()
        text = self.tokenizer.decode(tokens, skip_special_tokens=True).lstrip()
        return text, len(tokens), time.perf_counter() - start


def _key(reference: str) -> str:
    return reference.replace("/", "-")


def chats(engine: Any, references: Sequence[str]) -> Bound:
    """Megabytes that stay of 1,000 of ``CHATS`` chats, after ``FILLING_CHATS`` others."""
    from serve.engine.engine import Request

    def asking(i: int) -> Any:
        text = f"{i} is my number, {words_from(i, 3)}"
        return Request(references[i % len(references)], (("user", text),), 8, seed=i)

    async def some(numbers: range) -> None:
        for first in numbers[::STREAMS]:
            group = range(first, min(numbers.stop, first + STREAMS))
            await asyncio.gather(*(answer(engine, asking(i)) for i in group))

    sizes, first = [], 0
    for end in range(FILLING_CHATS, FILLING_CHATS + CHATS + 1, 1000):
        asyncio.run(some(range(first, end)))
        first = end
        sizes.append(own_rss_bytes() / 1e6)
        print(f"after {end} chats {sizes[-1]:.1f} MB", flush=True)
    return Bound("MB that 1,000 more chats take", "<=", 2.0, (sizes[-1] - sizes[0]) * 1000 / CHATS)


def report(name: str, turns: dict[str, list[Turn]]) -> None:
    """A line a contender; stop where two that should say the same don't."""
    print(
        f"\n{name}, {STREAMS} requests\n{'':<16}{'tokens':>8}{'tokens/s':>10}{'first token, ms: median':>26}{'p95':>8}"
    )
    for each, done in turns.items():
        first = [s * 1e3 for one in done for s in one.first_s]
        rate = median(one.rate for one in done)
        print(f"{each:<16}{done[0].tokens:>8}{rate:>10.0f}{median(first):>26.0f}{_p95(first):>8.0f}", flush=True)
    said = {each: done[-1].texts for each, done in turns.items()}
    for each, texts in said.items():
        for i, (theirs, ours) in enumerate(zip(texts, said["at once"], strict=True)):
            if theirs != ours:
                sys.exit(f"{name}: request {i} is answered otherwise by {each}: {theirs!r}, not {ours!r}")


def bounds_of(name: str, turns: dict[str, list[Turn]]) -> list[Bound]:
    """What must be reached."""
    ratios = [a.rate / b.rate for a, b in zip(turns["at once"], turns["one at a time"], strict=True)]
    detail = f"{min(ratios):.2f} to {max(ratios):.2f}"
    found = [Bound(f"{name}: tokens/s next to one at a time", ">=", 3.0, median(ratios), detail)]
    if "generate" in turns:
        theirs = [a.rate / b.rate for a, b in zip(turns["at once"], turns["generate"], strict=True)]
        found.append(Bound(f"{name}: tokens/s next to generate", ">=", 3.0, median(theirs),
                           f"{min(theirs):.2f} to {max(theirs):.2f}"))  # fmt: skip
    for each in ("at once", "joining"):
        first = [s for done in turns[each] for s in done.first_s]
        found.append(
            Bound(f"{name}: s to the first token, p95, {each}", "<=", 1.0, _p95(first), f"worst {max(first):.3f}")
        )
    return found


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]


if __name__ == "__main__":
    main()
