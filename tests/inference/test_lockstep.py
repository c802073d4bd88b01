"""Decoding side by side says what each version says alone, and draws with one luck for all."""

import gc
import math
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from inference import batch
from inference.batch import BatchRow, positions
from inference.kv_cache import BatchCache
from inference.loading import load_model
from inference.lockstep import Step, decode, room
from inference.lora import read
from inference.packed_linear import pack
from inference.sampling import gumbel, sample_by_noise
from inference.transcript import Sampling
from tests.inference import tiny

GREEDY = Sampling(temperature=0, max_new_tokens=12)
PROMPTS = [[5, 9, 20, 33, 7], [44, 101], list(range(50, 71)), [8]]


@pytest.fixture(scope="module")
def base(tiny_base, tmp_path_factory) -> Path:
    return tiny.stirred(tiny_base, tmp_path_factory.mktemp("base"), seed=1)


@pytest.fixture(scope="module")
def worn(base, tmp_path_factory) -> list[Path]:
    """Adapters of different ranks, layers and scales."""
    folder = tmp_path_factory.mktemp("adapters")
    return [
        tiny.adapter(base, folder / "one", 1, r=2),
        tiny.adapter(base, folder / "two", 2, r=8, lora_alpha=4, target_modules=["c_attn", "c_fc", "c_proj"]),
        tiny.adapter(base, folder / "three", 3, r=3, use_rslora=True, target_modules=["c_fc"]),
    ]


@pytest.fixture(scope="module", params=["unpacked", "packed"])
def model(base, request) -> Any:
    loaded = load_model(base)
    if request.param == "packed":
        pack(loaded)
    return loaded


@pytest.fixture(scope="module")
def bare(base) -> Any:
    """The base as it was loaded, never packed."""
    return load_model(base)


def answers(lines: Sequence[BatchRow], sampling: Sampling = GREEDY, turn: int = 0) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in lines]
    for step in decode(lines, sampling, turn):
        for i, token in enumerate(step.tokens):
            found[i] += [] if token is None else [token]
    return found


def line(model: Any, prompt: Sequence[int], adapter: Path | None = None, ends: Sequence[int] = ()) -> BatchRow:
    return BatchRow(model, read(adapter) if adapter else None, prompt, frozenset(ends))


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_mixed_adapters_in_one_batch_answer_as_each_does_alone(base, worn, model):
    panes: list[Path | None] = [None, *worn]
    lines = [line(model, prompt, pane) for prompt, pane in zip(PROMPTS, panes, strict=True)]
    alone = [tiny.greedy(base, pane, prompt, 12) for prompt, pane in zip(PROMPTS, panes, strict=True)]
    assert answers(lines) == alone
    same_prompt = [tiny.greedy(base, pane, PROMPTS[2], 12) for pane in panes]
    assert len({tuple(each) for each in same_prompt}) == 4  # the adapters do change what is said


@pytest.mark.parametrize("at", [(1, 4, 8, 12), (12, 8, 4, 1), (3, 3, 12, 5)])
def test_rows_that_end_at_different_times_leave_the_others_as_they_were(base, worn, model, at):
    panes: list[Path | None] = [worn[0], None, worn[1], worn[2]]
    lines, alone = [], []
    for prompt, pane, count in zip(PROMPTS, panes, at, strict=True):
        ends = tiny.greedy(base, pane, prompt, 12)[count - 1 : count] if count < 12 else []
        alone.append(tiny.greedy(base, pane, prompt, 12, ends))
        lines.append(line(model, prompt, pane, ends))
    assert len({len(each) for each in alone}) > 1
    assert answers(lines) == alone


def test_two_full_models_go_in_lockstep(base, model, tiny_base, tmp_path):
    other = tiny.stirred(tiny_base, tmp_path / "other", seed=2)
    lines = [line(model, PROMPTS[0]), line(load_model(other), PROMPTS[2]), line(model, PROMPTS[1])]
    alone = [
        tiny.greedy(folder, None, p, 12) for folder, p in ((base, PROMPTS[0]), (other, PROMPTS[2]), (base, [44, 101]))
    ]
    assert answers(lines) == alone


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("packed", [False, True])
def test_models_with_rotary_positions_are_exact_too(tiny_base, tmp_path, kind, packed):
    folder = tiny.rope(kind, tiny_base, tmp_path / kind)
    one = tiny.adapter(folder, tmp_path / "one", 1, target_modules=["q_proj", "down_proj"])
    two = tiny.adapter(folder, tmp_path / "two", 2, r=6, target_modules=["v_proj", "gate_proj"])
    loaded = load_model(folder)
    if packed:
        pack(loaded)
    panes = [None, one, two, one]
    lines = [line(loaded, prompt, pane) for prompt, pane in zip(PROMPTS, panes, strict=True)]
    assert answers(lines) == [tiny.greedy(folder, pane, p, 12) for p, pane in zip(PROMPTS, panes, strict=True)]
    even = [line(loaded, [9, 8, 7], pane) for pane in panes]  # of one length: no mask is passed
    assert answers(even) == [tiny.greedy(folder, pane, [9, 8, 7], 12) for pane in panes]


def seen(steps: Sequence[Step], row: int) -> torch.Tensor:
    return torch.stack([step.logits[row] for step in steps])


def test_the_base_beside_adapters_has_the_logits_of_the_pristine_base(base, worn, bare):
    expected = tiny.greedy_logits(base, None, PROMPTS[0], 12)
    alone = seen(list(decode([line(bare, PROMPTS[0])], GREEDY)), 0)
    assert torch.equal(alone, expected)
    steps = list(decode([line(bare, PROMPTS[0]), *(line(bare, PROMPTS[0], pane) for pane in worn)], GREEDY))
    torch.testing.assert_close(seen(steps, 0), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(seen(steps[:1], 1), expected[:1], atol=0.1)
    assert torch.equal(seen(list(decode([line(bare, PROMPTS[0])], GREEDY)), 0), expected)  # also afterwards


def test_between_two_steps_and_after_abandoning_them_the_model_is_as_it_was(base, worn, bare):
    expected = tiny.greedy_logits(base, None, PROMPTS[0], 1)
    started = decode([line(bare, PROMPTS[0], worn[0]), line(bare, PROMPTS[1], worn[1])], GREEDY)
    for _ in range(2):
        next(started)
        assert hooks(bare) == 0
        assert torch.equal(seen(list(decode([line(bare, PROMPTS[0])], Sampling(0, 1, 1))), 0), expected)
    del started
    gc.collect()
    assert hooks(bare) == 0


def test_two_conversations_can_take_steps_by_turns(base, worn, bare):
    one = decode([line(bare, PROMPTS[0], worn[0])], GREEDY)
    two = decode([line(bare, PROMPTS[2], worn[1])], GREEDY)
    pairs = [(a.tokens[0], b.tokens[0]) for a, b in zip(one, two, strict=True)]
    assert [a for a, _ in pairs] == tiny.greedy(base, worn[0], PROMPTS[0], 12)
    assert [b for _, b in pairs] == tiny.greedy(base, worn[1], PROMPTS[2], 12)


def test_a_model_that_breaks_down_stops_no_other(base, bare, monkeypatch):
    broken, calls = load_model(base), []
    forward = broken.forward

    def fail(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")
        return forward(*args, **named)

    monkeypatch.setattr(broken, "forward", fail)
    steps = list(decode([line(broken, PROMPTS[0]), line(bare, PROMPTS[0])], GREEDY))
    assert [step.tokens[1] for step in steps] == tiny.greedy(base, None, PROMPTS[0], 12)
    assert [i for i, step in enumerate(steps) if step.failed] == [2]
    assert str(steps[2].failed[0]) == "out of memory" and steps[2].tokens[0] is None


HOT = Sampling(temperature=1.3, top_p=0.9, max_new_tokens=30, seed=7)


@pytest.mark.parametrize("sampling", [HOT, Sampling(0.7, 1.0, 30, 8), Sampling(3.0, 0.5, 30, 2**40 + 9)])
def test_equal_models_draw_equal_samples_together_and_apart(base, model, sampling):
    twin = load_model(base)
    together = answers([line(model, PROMPTS[0]), line(model, PROMPTS[0])], sampling)
    lockstep = answers([line(model, PROMPTS[0]), line(twin, PROMPTS[0])], sampling)
    alone = answers([line(twin, PROMPTS[0])], sampling)
    assert together == lockstep == alone * 2
    assert len(set(alone[0])) > 5


def test_who_answers_beside_a_pane_does_not_change_what_it_says(base, bare, tiny_base, worn, tmp_path):
    wide = tiny.rope("llama", tiny_base, tmp_path / "wide")
    from transformers import AutoModelForCausalLM

    other = AutoModelForCausalLM.from_pretrained(wide)
    other.resize_token_embeddings(900)
    beside = answers([line(other, PROMPTS[1]), line(bare, PROMPTS[0]), line(bare, PROMPTS[2], worn[1])], HOT)
    assert beside[1] == answers([line(bare, PROMPTS[0])], HOT)[0]


def test_another_seed_or_turn_is_other_luck(bare):
    def said(seed: int, turn: int) -> tuple[int, ...]:
        return tuple(answers([line(bare, PROMPTS[0])], Sampling(1.0, 1.0, 12, seed), turn)[0])

    assert said(7, 0) == said(7, 0)
    assert len({said(seed, turn) for seed in (7, 8, 7 + 2**32, 7926) for turn in (0, 1)}) == 8


def test_noise_is_gumbel_and_its_beginning_does_not_depend_on_its_length():
    noise, other = gumbel(200_000, [(7, 0, 0), (7, 0, 1)])
    assert torch.isfinite(noise).all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)
    assert torch.equal(gumbel(600, [(7, 0, 0)])[0], noise[:600])
    assert not torch.equal(other, noise)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_have_the_frequencies_of_softmax(temperature):
    logits = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0, -2.0]])
    draws = 6000
    counts = torch.zeros(6)
    for seed in range(draws):
        counts[sample_by_noise(logits, temperature, [1.0], gumbel(6, [(seed, 0, 0)]))] += 1
    expected = draws * torch.softmax(logits[0] / temperature, -1)
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 20.5  # the 99.9th percentile with 5 degrees of freedom


def kept(probabilities: Sequence[float], top_p: float) -> set[int]:
    """The tokens that can be drawn at all: whatever is favoured by the noise, only they come."""
    logits = torch.tensor([probabilities]).log()
    favours = torch.eye(len(probabilities)) * 1e6
    return {int(sample_by_noise(logits, 1.0, [top_p], favour)) for favour in favours}


def test_top_p_keeps_exactly_the_smallest_set():
    likely = [0.1, 0.5, 0.15, 0.25]
    assert kept(likely, 1.0) == {0, 1, 2, 3}
    assert kept(likely, 0.9001) == {0, 1, 2, 3}
    assert kept(likely, 0.8) == {1, 2, 3}
    assert kept(likely, 0.7499) == {1, 3}
    assert kept(likely, 0.4999) == {1}
    assert kept(likely, 0.0) == {1}


def test_a_temperature_close_to_nothing_is_greedy():
    logits = torch.tensor([[3.0, 90.0, 89.9], [-80.0, -90.0, -70.0]])
    assert sample_by_noise(logits, 1e-38, [1.0, 1.0], gumbel(3, [(1, 2, 3)])).tolist() == [1, 2]


def test_the_likeliest_are_what_a_plain_forward_pass_says(base, worn, model):
    steps = list(decode([line(model, PROMPTS[0], worn[0]), line(model, PROMPTS[1])], Sampling(1.0, 0.5, 4)))
    for row, (prompt, pane) in enumerate([(PROMPTS[0], worn[0]), (PROMPTS[1], None)]):
        read_so_far = prompt + [step.tokens[row] for step in steps[:3]]
        with torch.inference_mode():
            likely = tiny.plain(base, pane)(input_ids=torch.tensor([read_so_far])).logits[0, -1].softmax(-1)
        tokens, shares = zip(*steps[3].likeliest(row), strict=True)
        assert list(tokens) == likely.topk(5).indices.tolist()
        assert shares == pytest.approx(likely.topk(5).values.tolist(), abs=1e-4)


def test_the_likeliest_of_a_tiny_vocabulary_are_all_of_it():
    assert len(Step([0], {0: torch.zeros(3)}, {}).likeliest(0)) == 3


def test_a_prompt_that_is_too_long_keeps_its_end(base, model):
    limit = positions(model)
    prompt = [int(i) for i in torch.randint(5, 500, (limit + 40,), generator=torch.Generator().manual_seed(1))]
    fits = prompt[-(limit - 12) :]
    assert room(model, 12) == len(fits)
    assert answers([line(model, prompt), line(model, PROMPTS[1])])[0] == tiny.greedy(base, None, fits, 12)


def test_an_answer_ends_where_the_positions_do(tiny_base, tmp_path):
    loaded = load_model(tiny.rope("llama", tiny_base, tmp_path / "short", positions=16))
    [long, short] = answers([line(loaded, PROMPTS[2]), line(loaded, PROMPTS[1])], Sampling(0, 1, 40))
    assert room(loaded, 40) == 1
    assert (len(long), len(short)) == (16, 16)  # both prompts keep one token


@pytest.mark.parametrize("length", [1, 2, 16])
def test_the_last_position_is_used_and_none_beyond_it(tiny_base, tmp_path, length, monkeypatch):
    loaded = load_model(tiny.rope("qwen2", tiny_base, tmp_path / "short", positions=16))
    furthest: list[int] = []
    forward = loaded.forward

    def watch(*args: Any, **named: Any) -> Any:
        furthest.append(int(named["position_ids"].max()))
        return forward(*args, **named)

    monkeypatch.setattr(loaded, "forward", watch)
    answers([line(loaded, list(range(9, 9 + length)))], Sampling(0, 1, 16 - length + 1))
    assert max(furthest) <= 15


def test_a_configuration_that_nests_its_text_model_is_understood(tiny_base, tmp_path):
    loaded = load_model(tiny.rope("llama", tiny_base, tmp_path / "inner", positions=77))
    inner = loaded.config

    class Outer:
        def get_text_config(self) -> Any:
            return inner

    loaded.config = Outer()
    assert positions(loaded) == 77


def test_what_rows_have_read_is_freed_when_they_end_and_not_at_some_garbage_collection(bare, monkeypatch):
    made: list[Any] = []

    class Recorded(BatchCache):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(weakref.ref(self))

    monkeypatch.setattr(batch, "BatchCache", Recorded)
    gc.disable()
    try:
        for step in decode([BatchRow(bare, None, prompt, frozenset()) for prompt in PROMPTS], GREEDY):
            assert not step.failed
        del step
        assert made and [cache() for cache in made] == [None] * len(made)
    finally:
        gc.enable()


def test_prompts_that_begin_alike_are_read_once_and_get_the_same_answers(model, worn):
    beginning = [5, 9, 20, 33, 7, 44, 101, 61, 62]
    prompts = [beginning + tail for tail in ([8], [50, 51, 52], list(range(50, 71)), [9, 9])] * 4
    adapters = [None, read(worn[1])]
    lines = [BatchRow(model, adapter, prompt, {-1}) for adapter in adapters for prompt in prompts]
    widths: list[int] = []
    handle = model.register_forward_pre_hook(lambda m, a, k: widths.append(k["input_ids"].shape[1]), with_kwargs=True)
    try:
        found = answers(lines)
    finally:
        handle.remove()
    assert widths.count(len(beginning)) == len(adapters)
    alone = {(id(line.adapter), *line.prompt): answers([line])[0] for line in lines[:4] + lines[16:20]}
    assert found == [alone[id(line.adapter), *line.prompt] for line in lines]
