"""Rows that come and go in a running batch say what each says alone, and take no more room than they must."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.batch import Batch, BatchRow
from inference.kv_cache import SPARE_COLUMNS, WASTE, BatchCache, can_join
from inference.loading import load_model
from inference.lockstep import decode
from inference.lora import LoraAdapter, read
from inference.transcript import Sampling
from tests.inference import tiny

WINDOW = 8
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "mistral": {"sliding_window": WINDOW},
    "gemma3_text": {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8},
}


@pytest.fixture(scope="module")
def base(tiny_base, tmp_path_factory) -> Path:
    return tiny.stirred(tiny_base, tmp_path_factory.mktemp("base"), seed=1)


@pytest.fixture(scope="module")
def model(base) -> Any:
    return load_model(base)


def run(model: Any, asked: Sequence[tuple[list[int], LoraAdapter | None, int, int]], part: int = 0) -> list[list[int]]:
    """What is said greedily to ``asked``: (prompt, adapter, step at which it joins, tokens), ``part`` read at once."""
    said: list[list[int]] = [[] for _ in asked]
    running: Batch[int] | None = None

    def take(batch: Batch[int], logits: torch.Tensor) -> None:
        chosen = logits.argmax(-1).tolist()
        batch.give(chosen)
        for at in reversed(range(len(chosen))):
            row = batch.rows[at]
            said[row].append(chosen[at])
            if len(said[row]) == asked[row][3]:
                batch.drop(at)

    for step in range(100):
        come = [i for i, (_, _, join, _) in enumerate(asked) if join == step]
        if come:
            new = Batch([BatchRow(model, asked[i][1], asked[i][0], frozenset()) for i in come], come)
            while (logits := new.read(part if len(come) == 1 else 0)) is None:
                pass
            take(new, logits)
            if running and running.rows and new.rows:
                running.absorb(new)
            elif new.rows:
                running = new
        elif running and running.rows:
            take(running, running.read())
    return said


def schedule(luck: random.Random, adapters: Sequence[LoraAdapter | None], rows: int = 14) -> list[Any]:
    return [
        ([luck.randrange(5, 500) for _ in range(luck.choice((1, 3, 9, 30)))], luck.choice(adapters),
         luck.randrange(25), luck.choice((1, 4, 11, 30)))
        for _ in range(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_rows_with_adapters_come_and_go(base, model, tmp_path, seed):
    one = tiny.adapter(base, tmp_path / "one", 1, r=2)
    two = tiny.adapter(base, tmp_path / "two", 2, r=8, target_modules=["c_attn", "c_proj"])
    three = tiny.adapter(base, tmp_path / "three", 3, r=3, target_modules=["c_fc"])
    worn: list[Path | None] = [None, one, two, three]
    adapters = [each and read(each) for each in worn]
    asked = schedule(random.Random(seed), adapters)
    for (prompt, adapter, _, count), said in zip(asked, run(model, asked, part=7), strict=True):
        assert said == tiny.greedy(base, worn[adapters.index(adapter)], prompt, count)


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_other_kinds_come_and_go_too(tiny_base, tmp_path, kind):
    folder = tiny.rope(kind, tiny_base, tmp_path / kind, **KINDS[kind])
    loaded = load_model(folder)
    assert can_join(loaded)
    asked = schedule(random.Random(1), [None])
    for (prompt, _, _, count), said in zip(asked, run(loaded, asked, part=7), strict=True):
        assert said == tiny.greedy(folder, None, prompt, count)


def test_a_model_that_remembers_in_other_ways_is_decoded_row_by_row(tiny_base, tmp_path):
    folder = tiny.rope("lfm2", tiny_base, tmp_path / "lfm2", layer_types=["conv", "full_attention"])
    loaded = load_model(folder)
    assert not can_join(loaded)
    prompts = [[5, 9, 20, 33, 7], [44, 101], list(range(50, 71))]
    lines = [BatchRow(loaded, None, prompt, frozenset()) for prompt in prompts]
    said = [list(tokens) for tokens in zip(*(step.tokens for step in decode(lines, Sampling(0, 1, 12))), strict=True)]
    assert said == [tiny.greedy(folder, None, prompt, 12) for prompt in prompts]


def cells(columns: BatchCache) -> int:
    return sum(t.numel() for layer in columns._layers for t in (layer.keys, layer.values) if t is not None)


def test_when_the_longest_row_leaves_its_padding_goes_and_soon_its_room(model):
    long, short = list(range(5, 205)), [7, 8, 9]
    batch = Batch([BatchRow(model, None, prompt, frozenset()) for prompt in (long, short)], ["long", "short"])
    batch.read()
    batch.give([5, 5])
    full = cells(batch._cache)
    assert batch._cache.used == len(long)
    batch.drop(0)
    assert batch.rows == ["short"]
    assert batch._cache.used == len(short)
    assert cells(batch._cache) < full / 4


def test_room_stays_in_proportion_to_what_is_in_use(model):
    luck, batch = random.Random(3), Batch([BatchRow(model, None, [5], frozenset())], [0])
    batch.read()
    batch.give([5])
    for i in range(1, 300):
        if len(batch.rows) < 6 or luck.random() < 0.4:
            prompt = [7] * luck.choice((1, 5, 60))
            new = Batch([BatchRow(model, None, prompt, frozenset())], [i])
            new.read()
            new.give([5])
            batch.absorb(new)
        while len(batch.rows) > 12 or batch.is_full(0) or luck.random() < 0.2 and len(batch.rows) > 1:
            batch.drop(luck.randrange(len(batch.rows)))
        batch.read()
        batch.give([5] * len(batch.rows))
        columns = batch._cache
        assert columns.used == max(columns.read(row) for row in range(len(batch.rows)))
        rows, width = columns.shape
        assert rows * width <= 2 * WASTE * len(batch.rows) * (columns.used + 2 * SPARE_COLUMNS)


def test_what_an_earlier_row_left_can_not_spoil_a_later_one(base, model):
    """Masked columns are multiplied by zero, and zero times infinity is no number."""
    prompts = [[5, 9, 20, 33, 7, 11, 12, 13], [44, 101, 9, 8, 7, 6, 5, 4]]
    batch = Batch([BatchRow(model, None, prompt, frozenset()) for prompt in prompts], [0, 1])
    batch.read()
    with torch.inference_mode():
        for layer in batch._cache._layers:
            assert layer.keys is not None and layer.values is not None
            layer.keys[1], layer.values[1] = float("inf"), float("nan")
    batch.give([5, 5])
    batch.drop(1)
    new = Batch([BatchRow(model, None, [8], frozenset())], [2])
    new.read()
    new.give([tiny.greedy(base, None, [8], 1)[0]])
    batch.absorb(new)
    logits = batch.read()
    assert logits is not None and logits.isfinite().all()
    assert int(logits[1].argmax()) == tiny.greedy(base, None, [8], 2)[1]


def test_rows_that_leave_before_anything_is_read_leave_the_last_one_as_it_was(base, model):
    """The one that stays begins after columns of padding; what was wanted of the others is far more than it needs."""
    prompts = [[5 + i % 90 for i in range(120)], *[[7, 9, 11, 13]] * 9]
    batch = Batch([BatchRow(model, None, ids, frozenset()) for ids in prompts], list(range(len(prompts))))
    for _ in range(len(prompts) - 1):
        batch.drop(0)
    logits = batch.read()
    assert batch.rows != [0] and logits is not None
    assert logits[0].argmax().item() == tiny.greedy(base, None, prompts[-1], 1)[0]
