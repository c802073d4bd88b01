"""How fast several versions answer side by side, next to asking them one after the other, and what one more costs.

Run from the project's root::

    python -m benchmarks.chat_speed [--quick]

A base of distilgpt2's shape with random weights, LoRA versions of it (rank 8, all layers, random), and a real MLflow
store are made in a temporary folder. Then, paired and in turns, greedy, all from the same 64 tokens:

- "page": ``ModelProcess.open`` and ``ModelProcessClient.ask``, as the chat page calls them: text to text, with
  the token at which the answers diverge, and the models in a process of their own.
- "one by one": ``generate`` of Transformers on the base, then on a PEFT model once a version. Its tuned side's first
  token comes when the base has ended.
- "bare loop": forward, argmax, cache and nothing else, on the page's own model with the same adapters in the batch:
  the strictest rival, it has the page's packed weights too.
- "PEFT's batch": the same bare loop on PEFT's mixed batch (``adapter_names``) and plain weights; for information.

Ratios are medians of each round's ratio; the first round warms up. All must say the same tokens. A process of its own
then opens the versions one after the other, as a visitor does who switches between them.
"""

import argparse
import ctypes
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

NAME = "speed"
PROMPT_TOKENS = 64
WARM_UP = 4  # versions that are opened before memory is counted
PARTS = {"look": "registry and digests", "read": "adapter"}


@dataclass(frozen=True)
class Bound:
    """A figure and what it must be: ``sign`` is >= or <=."""

    what: str
    sign: str
    bound: float
    measured: float
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether it is so."""
        return self.measured >= self.bound if self.sign == ">=" else self.measured <= self.bound


@dataclass(frozen=True)
class Turn:
    """One contender's answers: a list of tokens a pane, all seconds, and those to the tuned side's first token."""

    tokens: list[list[int]]
    seconds: float
    first_s: float

    @property
    def rate(self) -> float:
        """Tokens a second, all panes together."""
        return sum(map(len, self.tokens)) / self.seconds


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds and versions: to see that it runs")
    parser.add_argument("--rounds", type=int, default=0, help="default 9, or 3 with --quick; the first warms up")
    parser.add_argument("--new_tokens", type=int, default=0, help="a pane; default 60, as the page has, or 24")
    parser.add_argument("--versions", type=int, default=0, help="to switch between; default 28, or 8 with --quick")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rounds = args.rounds or (3 if args.quick else 9)
    new_tokens = args.new_tokens or (24 if args.quick else 60)
    versions = args.versions or (8 if args.quick else 28)
    be_quiet()
    with tempfile.TemporaryDirectory() as place:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlflow.db"
        os.chdir(place)  # where MLflow puts its artifacts
        base, adapters = make_base(Path(place) / "base"), Path(place) / "adapters"
        references = register(base, list(make_adapters(base, adapters, versions)))
        size = f"{versions} versions; {new_tokens} tokens a pane, {rounds - 1} rounds"
        print(f"{size}, {args.threads} threads", flush=True)
        bounds = [*race(base, references, rounds, new_tokens, args.threads)]
        bounds += switching(references, args.threads)
    sys.exit(not show(bounds))


def show(bounds: Sequence[Bound]) -> bool:
    """Print a table; whether all are met."""
    print(f"\n{'':<52}{'bound':>10}{'measured':>10}")
    for each in bounds:
        limit = f"{each.sign} {each.bound:g}"
        said = "met" if each.met else "MISSED"
        print(f"{each.what:<52}{limit:>10}{each.measured:>10.3g}  {said:<7} {each.detail}".rstrip())
    return all(each.met for each in bounds)


def be_quiet() -> None:
    """Leave the screen to the figures: no progress bars, no hints of libraries; before these are imported."""
    os.environ |= {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    warnings.filterwarnings("ignore", category=FutureWarning)
    from transformers.utils import logging

    logging.disable_progress_bar()


# What is measured


def make_base(folder: Path) -> Path:
    """A random model of distilgpt2's shape with the bundled tokenizer, which uses a part of the vocabulary.

    It never ends an answer: the end token's embedding is zero, so its logit is, and others are above that.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from inference.loading import load_tokenizer
    from train.base_model import BUNDLED

    tokenizer: Any = load_tokenizer(BUNDLED)
    torch.manual_seed(7)
    ends: dict[str, Any] = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, pad_token_id=tokenizer.pad_token_id, **ends))
    with torch.no_grad():
        model.transformer.wte.weight[tokenizer.eos_token_id] = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapters(base: Path, place: Path, count: int, rank: int = 8) -> Iterator[Path]:
    """Random LoRA adapters of ``base`` in PEFT's layout, strong enough to change what it says; a folder each."""
    import torch

    from inference.loading import load
    from recipes.sft.config import TuneConfig
    from train import trainable

    model, tokenizer = load(base)
    model = trainable.make_trainable(model, TuneConfig(method="lora", rank=rank, alpha=2.0 * rank))
    luck = torch.Generator().manual_seed(11)
    for i in range(count):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.05, generator=luck)
        trainable.save(model, tokenizer, str(base), place / str(i))
        yield place / str(i)


def register(base: Path, adapters: Sequence[Path], load: str = "fp32") -> list[str]:
    """Log and register the adapters as a tuning job does that held its base so; returns a reference each."""
    from data.chat_format import template_of
    from inference import weights
    from inference.loading import load_tokenizer
    from registry import lineage, runs, versions

    digest, template = weights.weights_digest(base), template_of(load_tokenizer(base))
    config = {"kind": "lora", "base_path": str(base), "base_digest": digest, "chat_template": template, "load": load}
    tags = {"kind": "lora", "base_model": str(base), "base_digest": digest, "verdict": "healthy"}
    references = []
    for adapter in adapters:
        run = runs.start(NAME, Path("outputs"))
        uri = versions.log_model(run, adapter, config, lineage.pins(), "Hello.")
        made = versions.register(NAME, uri, run.run_id, tags, "made by a benchmark")
        references.append(made.reference)
    return references


def make_pool(threads: int) -> Any:
    """The page's pool, with nothing loaded."""
    import torch

    from inference.model_pool import ModelPool
    from registry.resolver import Resolver

    torch.set_num_threads(threads)
    return ModelPool(Resolver(Path).look)


def prompt_of(speaker: Any, tokens: int = PROMPT_TOKENS) -> str:
    """A prompt of exactly so many tokens, as ``speaker`` reads it."""
    from inference.generation import chat_ids

    words = "Tell me about the boat and the sea".split()
    text = ""
    for i in range(10 * tokens):
        longer = f"{text} {words[i % len(words)]}".strip()
        found = len(chat_ids(speaker, (), longer))
        if found == tokens:
            return longer
        text = longer if found < tokens else f"{text} a"
    raise SystemExit(f"no prompt of {tokens} tokens was found")


# Side by side, and next to others


def race(base: Path, references: Sequence[str], rounds: int, new_tokens: int, threads: int) -> Iterator[Bound]:
    """Two panes and four, each against the others in turns."""
    from demo.model_process import ModelProcess, PoolSettings
    from inference.generation import chat_ids

    pool = make_pool(threads)
    page = ModelProcess(PoolSettings(pool.capacity_bytes, threads), pool.look)
    panel = pool.open([f"{references[0]}:base", *references[:3]])
    failed = [speaker.error for speaker in panel.loaded if speaker.error]
    if failed:
        sys.exit(failed[0])
    prompt = prompt_of(panel.loaded[0])
    ids = chat_ids(panel.loaded[0], (), prompt)
    plain, wrapped = _rivals(base, [Path("adapters") / str(i) for i in range(3)])
    for panes in (2, 4):
        seats = [f"{references[0]}:base", *references[: panes - 1]]
        opened = pool.open(seats)
        contenders = {
            "page": partial(_page, page.open(seats), prompt, new_tokens),
            "one by one": partial(_one_by_one, plain, wrapped, ids, panes, new_tokens),
            "bare loop": partial(_bare, opened, ids, new_tokens),
            "PEFT's batch": partial(_mixed_by_peft, wrapped, ids, panes, new_tokens),
        }
        turns = {name: [] for name in contenders}
        for i in range(rounds):
            for name in list(contenders)[:: 1 if i % 2 else -1]:
                turns[name].append(contenders[name]())
        _require_same(turns)
        _print_rates(panes, {name: each[1:] for name, each in turns.items()})
        yield from _bounds(panes, {name: each[1:] for name, each in turns.items()})
    page.close()


def _rivals(base: Path, adapters: Sequence[Path]) -> tuple[Any, Any]:
    """The base as Transformers loads it, and a PEFT model with all ``adapters``, named 0, 1, ..."""
    from peft import PeftModel

    from inference.loading import load_model

    wrapped = PeftModel.from_pretrained(load_model(base), str(adapters[0]), adapter_name="0")
    for i, adapter in enumerate(adapters[1:], 1):
        wrapped.load_adapter(str(adapter), adapter_name=str(i))
    return load_model(base), wrapped.eval()


def _page(panel: Any, prompt: str, new_tokens: int) -> Turn:
    """As the page asks: the models are in another process, and what they say comes piece by piece."""
    from inference.transcript import Sampling

    start = time.perf_counter()
    *_, last = panel.generate(prompt, Sampling(temperature=0, max_new_tokens=new_tokens))
    seconds = time.perf_counter() - start
    return Turn([list(reply.token_ids) for reply in last.replies], seconds, last.replies[1].first_token_s)


def _one_by_one(plain: Any, wrapped: Any, ids: list[int], panes: int, new_tokens: int) -> Turn:
    tokens, first, start = [], 0.0, time.perf_counter()
    for pane in range(panes):
        if pane:
            wrapped.set_adapter(str(pane - 1))
        said, at = _generate(wrapped if pane else plain, ids, new_tokens)
        tokens.append(said)
        first = at - start if pane == 1 else first
    return Turn(tokens, time.perf_counter() - start, first)


def _generate(model: Any, ids: list[int], new_tokens: int) -> tuple[list[int], float]:
    """Greedy tokens, and when the first one came."""
    import torch
    from transformers.generation.streamers import BaseStreamer

    class Clock(BaseStreamer):
        def __init__(self):
            self.times: list[float] = []

        def put(self, value: Any) -> None:
            self.times.append(time.perf_counter())

        def end(self) -> None:
            pass

    clock = Clock()
    given = torch.tensor([ids])
    out = model.generate(
        input_ids=given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=new_tokens,
        do_sample=False,
        streamer=clock,
    )
    return out[0, len(ids) :].tolist(), clock.times[1]  # what comes first is the prompt


def _bare(panel: Any, ids: list[int], new_tokens: int) -> Turn:
    from inference.lora import AdapterBatch

    model, adapters = panel.loaded[0].model, [speaker.adapter for speaker in panel.loaded]
    with AdapterBatch(model, adapters).active():
        return _loop(model, ids, len(adapters), new_tokens)


def _mixed_by_peft(wrapped: Any, ids: list[int], panes: int, new_tokens: int) -> Turn:
    return _loop(wrapped, ids, panes, new_tokens, adapter_names=["__base__", "0", "1", "2"][:panes])


def _loop(model: Any, ids: list[int], rows: int, new_tokens: int, **more: Any) -> Turn:
    """The least that decoding a batch takes."""
    import torch
    from transformers import DynamicCache

    start, first, said = time.perf_counter(), 0.0, []
    with torch.inference_mode():
        given, cache = torch.tensor([ids] * rows), DynamicCache(config=model.config)
        for _ in range(new_tokens):
            out = model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1, **more)
            given = out.logits[:, -1].argmax(-1, keepdim=True)
            said.append(given)
            first = first or time.perf_counter() - start
        tokens = torch.cat(said, 1).tolist()
    return Turn(tokens, time.perf_counter() - start, first)


def _require_same(turns: dict[str, list[Turn]]) -> None:
    """Stop where an answer is not that of ``generate``, or where two panes say the same and so prove little."""
    wanted = turns["one by one"][0].tokens
    for name, each in turns.items():
        if any(turn.tokens != wanted for turn in each):
            pane, at = _differ(wanted, next(turn.tokens for turn in each if turn.tokens != wanted))
            sys.exit(f"{name}: pane {pane} is not what generate says, from token {at} on")
    if len({tuple(tokens) for tokens in wanted}) < len(wanted):
        sys.exit("two panes say the same: the random adapters are too weak to prove anything")


def _differ(wanted: list[list[int]], found: list[list[int]]) -> tuple[int, int]:
    pane = next(i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b)
    pairs = enumerate(zip(wanted[pane], found[pane], strict=False))
    return pane, next((i for i, (a, b) in pairs if a != b), min(len(wanted[pane]), len(found[pane])))


def _print_rates(panes: int, turns: dict[str, list[Turn]]) -> None:
    print(f"\n{panes} panes: every answer is token for token that of generate on the version alone")
    print(f"{'':<14}{'tokens/s':>10}{'first token of the tuned side, ms':>36}")
    for name, each in turns.items():
        first = f"{median(turn.first_s for turn in each) * 1e3:.0f}"
        print(f"{name:<14}{median(turn.rate for turn in each):>10.1f}{first:>36}", flush=True)


def _bounds(panes: int, turns: dict[str, list[Turn]]) -> Iterator[Bound]:
    def ratio(of: Callable[[Turn, Turn], float], rival: str) -> tuple[float, str]:
        found = [of(a, b) for a, b in zip(turns["page"], turns[rival], strict=True)]
        return median(found), f"{min(found):.2f} to {max(found):.2f}"

    what = f"{panes} panes: tokens/s next to one by one"
    yield Bound(what, ">=", 1.5 if panes == 2 else 2.0, *ratio(lambda a, b: a.rate / b.rate, "one by one"))
    if panes == 2:
        sooner = ratio(lambda a, b: b.first_s / a.first_s, "one by one")
        yield Bound("2 panes: tuned side's first token sooner by", ">=", 5.0, *sooner)
    what = f"{panes} panes: seconds next to the bare loop"
    yield Bound(what, "<=", 1.1, *ratio(lambda a, b: a.seconds / b.seconds, "bare loop"))


# Switching between versions


def switching(references: Sequence[str], threads: int) -> list[Bound]:
    """Open every version once and then again, in a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_switch, args=(list(references), threads, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        sys.exit("the process that switches between versions has failed; its own lines say why")
    finally:
        process.join()


def _switch(references: list[str], threads: int, connection: Connection) -> None:
    from inference import model_pool
    from inference.transcript import Sampling

    spent = dict.fromkeys(PARTS, 0.0)
    pool, sampling = make_pool(threads), Sampling(temperature=0, max_new_tokens=4)
    opens: dict[str, list[float]] = {"new": [], "seen": []}
    parts: dict[str, list[dict[str, float]]] = {"new": [], "seen": []}
    sizes, file_bytes = [], 0
    assert pool.look
    pool.look = _timed(pool.look, "look", spent)
    with patch.object(model_pool, "read", _timed(model_pool.read, "read", spent)):
        for kind in ("new", "seen"):
            for reference in references:
                spent.update(dict.fromkeys(PARTS, 0.0))
                start = time.perf_counter()
                panel = pool.open([f"{reference}:base", reference])
                opens[kind].append(time.perf_counter() - start)
                parts[kind].append(dict(spent))
                *_, last = panel.generate("Hello.", sampling)
                if any(reply.ended == "error" for reply in last.replies):
                    sys.exit(f"{reference}: {[reply.error for reply in last.replies]}")
                sizes.append(own_rss_bytes())
                file_bytes = panel.models[1].bytes
    new = slice(1, None)  # the first one loads the base
    warm = min(WARM_UP, len(references) // 2)
    connection.send([
        _opened("ms to switch to a version never seen", opens["new"][new], parts["new"][new]),
        _opened("ms to switch to a version seen before", opens["seen"], parts["seen"]),
        _memory(sizes[warm : len(references)], file_bytes, sizes[len(references) - 1 :]),
    ])  # fmt: skip


def _timed(work: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        try:
            return work(*args)
        finally:
            spent[name] += time.perf_counter() - start

    return timed


def _opened(what: str, seconds: list[float], parts: list[dict[str, float]]) -> Bound:
    split = ", ".join(f"{word} {median(p[name] for p in parts) * 1e3:.1f}" for name, word in PARTS.items())
    detail = f"{split} (base and version); worst {max(seconds) * 1e3:.0f}"
    return Bound(what, "<=", 150, median(seconds) * 1e3, detail)


def _memory(sizes: list[int], file_bytes: int, after: list[int]) -> Bound:
    per_version = slope(sizes)
    detail = f"{per_version / 1e6:.2f} MB a version, file {file_bytes / 1e6:.2f} MB, {len(sizes)} versions; "
    detail += f"opening all again: {(after[-1] - after[0]) / 1e6:+.1f} MB"
    return Bound("memory a further version takes / its file", "<=", 1.5, per_version / file_bytes, detail)


def slope(values: Sequence[float]) -> float:
    """By how much ``values`` grow a step: the line of least squares."""
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    return sum((i - middle) * (v - mean) for i, v in enumerate(values)) / sum(
        (i - middle) ** 2 for i in range(len(values))
    )


def own_rss_bytes() -> int:
    """Memory that this process has now, without what it has freed: loading a base leaves room for many adapters."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
