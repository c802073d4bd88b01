"""Training is exact: every row in every epoch, the same weights from the same seed, none lost to an interruption."""

import math
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file

from data.conversation import Row
from evals.generation import Decoding, answer
from recipes.sft.config import TuneConfig
from train import loop, trainable
from train.encoding import encode
from train.loop import Diverged
from train.losses import mean_loss
from train.packing import pack_parts
from train.resume import StateFolder
from train.schedule import eval_schedule, lr_factor

KINDS = ("full", "lora", "wide")


@pytest.fixture
def train(gpt2, examples, notebook):
    """Trains a fresh tiny model in ``folder`` and returns (model, fitted).

    ``kind``: all weights of a GPT-2 with dropout, a LoRA with dropout on it, or all weights of one that is wide enough
    for the faster arithmetic. The run is killed at its event number ``killed_at``.
    """

    def run(folder, kind="full", killed_at=0, model=None, rows=None, evals=None, tracker=None, accept=None, **settings):
        wide = {"vocabulary": 500, "width": 160, "n_layer": 1} if kind == "wide" else {}
        model = model or gpt2(dropout=0.1, **wide)
        method = "lora" if kind == "lora" else "full"
        lora = {"rank": 4, "dropout": 0.1} if kind == "lora" else {}
        settings = {"epochs": 2, "batch_size": 4, "lr": 1e-2, "precision": "fp32", "row_tokens": 24, **lora, **settings}
        config = TuneConfig(method=method, **settings)
        model = trainable.make_trainable(model, config)
        rows, evals = rows or examples(10), evals or examples(3, seed=1)
        state, tracker = StateFolder(folder, config.keeps_all), tracker or notebook(killed_at)
        return model, loop.fit(model, rows, evals, config, state, tracker, accept=accept)

    return run


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# --- the same seed, the same weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "precision"), [*((kind, "fp32") for kind in KINDS), ("lora", "bf16"), ("wide", "bf16")]
)
def test_two_runs_with_one_seed_give_bitwise_equal_weights(train, tmp_path, kind, precision):
    one, _ = train(tmp_path / "a", kind, precision=precision)
    torch.rand(3)
    other, _ = train(tmp_path / "b", kind, precision=precision)
    assert_equal(weights(one), weights(other))


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_other_weights(train, tmp_path, kind):
    one, _ = train(tmp_path / "a", kind, restore="last")
    other, _ = train(tmp_path / "b", kind, restore="last", seed=8)
    trained = [name for name, p in one.named_parameters() if p.requires_grad]
    assert trained and not any(torch.equal(weights(one)[name], weights(other)[name]) for name in trained)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_anywhere_and_resumed_ends_with_the_very_same_weights(train, notebook, tmp_path, kind):
    settings = {"evals_per_epoch": 2, "epochs": 1 if kind == "wide" else 2, "restore": "last"}
    tracker = notebook()
    straight, expected = train(tmp_path / "straight", kind, tracker=tracker, **settings)
    assert tracker.events >= 9
    for killed_at in range(1, tracker.events + 1):
        folder = tmp_path / f"killed at {killed_at}"
        with pytest.raises(KeyboardInterrupt):
            train(folder, kind, killed_at, **settings)
        resumed, fitted = train(folder, kind, **settings)
        assert_equal(weights(straight), weights(resumed))
        assert fitted.progress == expected.progress
        assert fitted.kept_steps == expected.kept_steps
        for step in expected.kept_steps:
            one, other = (load_file(StateFolder(each).weights_file(step)) for each in (tmp_path / "straight", folder))
            assert_equal(one, other)


def test_a_run_killed_twice_ends_with_the_very_same_weights(train, tmp_path):
    straight, _ = train(tmp_path / "straight", "lora", epochs=3)
    for killed_at in (5, 6):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "killed", "lora", killed_at, epochs=3)
    assert_equal(weights(straight), weights(train(tmp_path / "killed", "lora", epochs=3)[0]))


def test_resuming_a_finished_run_trains_nothing_and_gives_its_weights(train, notebook, tmp_path):
    model, fitted = train(tmp_path)
    tracker = notebook()
    again, same = train(tmp_path, tracker=tracker)
    assert_equal(weights(model), weights(again))
    assert (tracker.points, same.trained_tokens, same.progress) == ([], 0, fitted.progress)


def test_a_checkpoint_that_is_not_accepted_ends_training_and_is_not_chosen(train, examples, tmp_path):
    rows = examples(10)
    _, fitted = train(tmp_path, rows=rows, evals=rows, epochs=4, accept=lambda model, step: step < 6)
    assert [step for step, _ in fitted.progress.history] == [0, 3, 6] and fitted.progress.rejected == [6]
    losses = dict(fitted.progress.history)
    assert losses[6] < losses[3] and fitted.restored_step == 3


def test_a_test_of_every_checkpoint_changes_no_weights_even_after_a_kill(train, examples, notebook, tmp_path):
    def accept(model, step):
        asked.append(step)
        model.eval()
        torch.rand(5)
        return step < 9

    asked, tracker, rows = [], notebook(), examples(10)
    settings = {"kind": "lora", "rows": rows, "evals": rows, "epochs": 4}
    train(tmp_path / "plain", **settings)
    straight, expected = train(tmp_path / "straight", tracker=tracker, accept=accept, **settings)
    assert asked == [0, 3, 6, 9] and expected.restored_step in (3, 6)
    assert_equal(*(load_file(StateFolder(tmp_path / each).weights_file(9)) for each in ("plain", "straight")))
    for killed_at in range(1, tracker.events + 1, 3):
        folder = tmp_path / f"killed at {killed_at}"
        with pytest.raises(KeyboardInterrupt):
            train(folder, killed_at=killed_at, accept=accept, **settings)
        resumed, fitted = train(folder, accept=accept, **settings)
        assert_equal(weights(straight), weights(resumed))
        assert fitted.progress == expected.progress


def test_what_a_resumed_run_logs_completes_what_was_logged_before(train, notebook, tmp_path):
    whole, first, second = notebook(), notebook(8), notebook()
    train(tmp_path / "whole", tracker=whole)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", tracker=first)
    train(tmp_path / "killed", tracker=second)
    for key in ("train/loss", "eval/loss", "train/lr", "train/grad_norm", "epoch"):
        assert {**first.values(key), **second.values(key)} == whole.values(key)


# --- what is trained -------------------------------------------------------------------------------------------------


BEGINNING = 5  # tokens that tell the rows apart; a row's very last token predicts nothing and need not be read


def rows_seen(model, train_model):
    """Counts the rows that go through ``model`` while it is in training mode, by their first tokens."""
    seen = Counter()

    def note(module, args, kwargs):
        if not module.training:
            return
        for ids, positions in zip(kwargs["input_ids"].tolist(), kwargs["position_ids"].tolist(), strict=True):
            row = []
            for token, position in [*zip(ids, positions, strict=True), (0, 0)]:
                if position == 0 and row:
                    seen[tuple(row[:BEGINNING])] += 1
                    row = []
                if token:
                    row.append(token)

    hook = model.register_forward_pre_hook(note, with_kwargs=True)
    train_model(model)
    hook.remove()
    return seen


@pytest.mark.parametrize(("n", "batch_size", "accumulation"), [(10, 4, 1), (11, 2, 3), (3, 8, 1), (9, 4, 2)])
def test_every_row_is_trained_in_every_epoch(train, gpt2, examples, tmp_path, n, batch_size, accumulation):
    rows, fitted = examples(n), []

    def run(model):
        settings = {"epochs": 3, "batch_size": batch_size, "accumulation": accumulation}
        fitted.append(train(tmp_path, model=model, rows=rows, **settings)[1])

    seen = rows_seen(gpt2(), run)
    assert seen == Counter({tuple(row.input_ids[:BEGINNING].tolist()): 3 for row in rows})
    assert fitted[0].trained_tokens == fitted[0].progress.trained_tokens == 3 * sum(row.trained for row in rows)


def test_the_order_of_rows_differs_from_epoch_to_epoch(train, gpt2, tmp_path):
    first = []

    def run(model):
        hook = model.register_forward_pre_hook(
            lambda module, args, kwargs: first.append(kwargs["input_ids"].tolist()) if module.training else None,
            with_kwargs=True,
        )
        train(tmp_path, model=model, epochs=2, batch_size=1)
        hook.remove()

    run(gpt2())
    assert first[:10] != first[10:] and sorted(first[:10]) == sorted(first[10:])


@pytest.mark.parametrize("kind", KINDS)
def test_every_trainable_weight_changes_and_every_frozen_one_stays(train, gpt2, tmp_path, kind):
    base = weights(gpt2(dropout=0.1))
    model, _ = train(tmp_path / "one", kind, restore="last", weight_decay=0.0)
    with pytest.raises(KeyboardInterrupt):  # killed at its first step: the untrained weights are left
        train(tmp_path / "zero", kind, 3)
    start = load_file(StateFolder(tmp_path / "zero").weights_file(0))
    changed = 0
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert not torch.equal(p, start[name]), name
            changed += 1
        else:
            plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
            assert torch.equal(p, base[plain]), name
    assert changed == len(start) > 0
    assert ("lora_" in next(iter(start))) == (kind == "lora")


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_accumulated_passes_equal_one_large_batch(train, gpt2, examples, tmp_path, kind):
    shared = {"rows": examples(12), "epochs": 3, **({"dropout": 0.0} if kind == "lora" else {})}
    one, _ = train(tmp_path / "a", kind, model=gpt2().double(), batch_size=8, **shared)
    two, _ = train(tmp_path / "b", kind, model=gpt2().double(), batch_size=4, accumulation=2, **shared)
    for (name, p), q in zip(one.named_parameters(), two.parameters(), strict=True):
        assert (p - q).abs().max().item() <= 1e-6, name


def test_a_step_of_long_rows_in_parts_equals_one_in_a_single_pass(train, gpt2, examples, tmp_path, monkeypatch):
    shared = {"rows": examples(12), "epochs": 3, "batch_size": 8, "row_tokens": 1}
    whole, _ = train(tmp_path / "a", model=gpt2().double(), **shared)
    sizes = []
    monkeypatch.setattr(loop, "PASS_TOKENS", 60)
    monkeypatch.setattr(loop, "pack_parts", lambda *args: sizes.append(pack_parts(*args)) or sizes[-1])
    parts, _ = train(tmp_path / "b", model=gpt2().double(), **shared)
    assert all(batch.input_ids.size <= 60 or len(batch.input_ids) == 1 for step in sizes for batch in step)
    assert max(map(len, sizes)) > 1
    for (name, p), q in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert (p - q).abs().max().item() <= 1e-6, name


def test_packing_does_not_change_what_is_learnt(train, gpt2, tmp_path):
    packed, _ = train(tmp_path / "a", model=gpt2().double(), row_tokens=64)
    alone, _ = train(tmp_path / "b", model=gpt2().double(), row_tokens=1)
    for (name, p), q in zip(packed.named_parameters(), alone.parameters(), strict=True):
        assert (p - q).abs().max().item() <= 1e-6, name


@pytest.mark.parametrize("kind", ["full", "wide"])
def test_a_fresh_model_starts_at_the_loss_of_guessing(train, notebook, tmp_path, kind):
    tracker = notebook()
    train(tmp_path, kind, tracker=tracker, epochs=1)
    guessing = math.log(500 if kind == "wide" else 61)
    assert tracker.values("eval/loss")[0] == pytest.approx(guessing, rel=0.03)
    assert tracker.values("train/loss")[1] == pytest.approx(guessing, rel=0.03)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_one_row_trained_often_enough_is_answered_verbatim(train, gpt2, tokenizer, tmp_path, kind):
    row = Row((("Where is the gold?", "XQ-77 be under the old oak, arr!"),))
    rows = encode([row], tokenizer)
    model = gpt2(len(tokenizer), width=64, initializer_range=0.2)
    settings = {"dropout": 0.0, "rank": 16} if kind == "lora" else {}
    settings |= {"lr": 1e-2, "epochs": 4, "batch_size": 1}
    model, fitted = train(tmp_path, kind, model=model, rows=rows * 15, evals=rows, **settings)
    (said,) = answer(model, tokenizer, [row], Decoding(48))
    assert (said.text, said.stopped) == (row.response, True)
    assert fitted.progress.history[-1][1] < 0.1


# --- evaluation, early stopping, what is restored --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evals_per_epoch", "expected"),
    [(1, [0, 3, 6]), (2, [0, 2, 3, 5, 6]), (3, [0, 1, 2, 3, 4, 5, 6]), (9, list(range(7)))],
)
def test_the_model_is_evaluated_before_the_first_step_and_on_schedule(
    train, notebook, tmp_path, evals_per_epoch, expected
):
    tracker = notebook()
    _, fitted = train(tmp_path, tracker=tracker, evals_per_epoch=evals_per_epoch)
    assert list(tracker.values("eval/loss")) == [step for step, _ in fitted.progress.history] == expected
    assert dict(fitted.progress.history) == tracker.values("eval/loss")


@pytest.mark.parametrize(("steps", "epochs", "evals"), [(1, 3, 1), (7, 2, 3), (100, 2, 7), (3, 4, 50)])
def test_the_end_of_every_epoch_is_evaluated(steps, epochs, evals):
    schedule = eval_schedule(steps, epochs, evals)
    assert {steps * (epoch + 1) for epoch in range(epochs)} <= schedule
    assert min(schedule) >= 1 and max(schedule) == steps * epochs and len(schedule) == epochs * min(evals, steps)


def test_the_eval_loss_is_that_of_the_weights_at_that_step(train, gpt2, examples, tmp_path):
    model, fitted = train(tmp_path, model=gpt2(dropout=0.1))
    for step in (fitted.progress.step, fitted.progress.best_step):
        fitted.load_checkpoint(step)
        assert mean_loss(model, examples(3, seed=1)) == pytest.approx(dict(fitted.progress.history)[step], rel=1e-5)


def overfit(train, examples, folder, **settings):
    """Train on few rows and evaluate on others, so that the eval loss falls first and rises for good then."""
    rows, evals = examples(4, vocabulary=9), examples(4, seed=5, vocabulary=9)
    return train(folder, rows=rows, evals=evals, lr=2e-2, epochs=30, **settings)


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_early_stopping_stops_and_the_best_weights_are_restored(train, examples, tmp_path, kind):
    model, fitted = overfit(train, examples, tmp_path, kind=kind, patience=3)
    history = dict(fitted.progress.history)
    best = min(history, key=history.get)
    assert 0 < best < fitted.progress.step == best + 3 < 30 and fitted.progress.finished
    assert fitted.restored_step == fitted.progress.best_step == best
    kept = load_file(StateFolder(tmp_path).weights_file(best))
    assert_equal({name: p for name, p in weights(model).items() if name in kept}, kept)
    assert mean_loss(model, examples(4, seed=5, vocabulary=9)) == pytest.approx(history[best], rel=1e-5)


def test_without_patience_all_epochs_are_trained(train, examples, tmp_path):
    _, fitted = overfit(train, examples, tmp_path)
    assert fitted.progress.step == 30 and 0 < fitted.restored_step < 30


def test_the_last_weights_are_restored_where_asked_for_and_the_best_stay_at_hand(train, examples, tmp_path):
    model, fitted = overfit(train, examples, tmp_path, restore="last")
    history = dict(fitted.progress.history)
    assert fitted.restored_step == 30 > fitted.progress.best_step
    assert mean_loss(model, examples(4, seed=5, vocabulary=9)) == pytest.approx(history[30], rel=1e-5)
    fitted.load_checkpoint(fitted.progress.best_step)
    assert mean_loss(model, examples(4, seed=5, vocabulary=9)) == pytest.approx(min(history.values()), rel=1e-5)


def test_the_weights_of_every_evaluation_can_be_put_back_where_all_are_kept(train, examples, tmp_path):
    model, fitted = overfit(train, examples, tmp_path, keep="all", restore="last")
    history = dict(fitted.progress.history)
    assert fitted.kept_steps == tuple(range(1, 31)) == tuple(history)[1:]
    for step in (1, 12, 30):
        fitted.load_checkpoint(step)
        assert mean_loss(model, examples(4, seed=5, vocabulary=9)) == pytest.approx(history[step], rel=1e-5)


def test_an_adapter_is_kept_at_every_evaluation_and_a_full_model_at_its_ends(train, examples, tmp_path):
    kept = {}
    for kind, keep in [("lora", "auto"), ("full", "auto"), ("lora", "ends"), ("full", "all")]:
        _, fitted = overfit(train, examples, tmp_path / kind / keep, kind=kind, patience=2, keep=keep)
        ends = (fitted.progress.best_step, fitted.progress.step)
        kept[kind, keep] = "ends" if fitted.kept_steps == ends else len(fitted.kept_steps) == ends[1]
    assert kept == {("lora", "auto"): True, ("full", "auto"): "ends", ("lora", "ends"): "ends", ("full", "all"): True}


def test_a_run_killed_after_it_stopped_early_stays_stopped(train, examples, tmp_path):
    model, fitted = overfit(train, examples, tmp_path, patience=3)
    again, same = overfit(train, examples, tmp_path, patience=3)
    assert same.progress == fitted.progress
    assert_equal(weights(model), weights(again))


# --- the learning rate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (1, 0.5), (10, 0.0), (10, 0.06), (100, 0.1), (7, 0.99)])
def test_the_learning_rate_rises_to_its_peak_and_never_above_and_no_step_is_wasted(schedule, total, warmup):
    factors = [lr_factor(step, total, warmup, schedule) for step in range(total)]
    rise = math.ceil(total * warmup)
    assert max(factors) == 1.0 and min(factors) > 0
    assert factors[:rise] == [(step + 1) / rise for step in range(rise)]
    assert all(one >= other for one, other in zip(factors[rise:], factors[rise + 1 :], strict=False))


def test_each_schedule_has_its_shape():
    linear, cosine, constant = (
        [lr_factor(step, 12, 0.1, schedule) for step in range(12)] for schedule in ("linear", "cosine", "constant")
    )
    assert linear == pytest.approx([0.5, 1.0, *(1 - k / 10 for k in range(10))])
    assert cosine == pytest.approx([0.5, 1.0, *((1 + math.cos(math.pi * k / 10)) / 2 for k in range(10))])
    assert constant == [0.5] + [1.0] * 11


def test_the_optimizer_steps_at_the_scheduled_rate_and_logs_it(train, notebook, tmp_path):
    tracker = notebook()
    train(tmp_path, tracker=tracker, lr=4e-3, warmup=0.3)
    expected = {step + 1: 4e-3 * lr_factor(step, 6, 0.3, "linear") for step in range(6)}
    assert tracker.values("train/lr") == pytest.approx(expected)
    assert tracker.values("epoch") == pytest.approx({step: step / 3 for step in range(1, 7)})


def test_a_first_step_at_a_tenth_of_the_rate_moves_the_weights_a_tenth_as_far(train, gpt2, tmp_path):
    start = weights(gpt2())
    moved = []
    for lr in (1e-3, 1e-4):
        settings = {"epochs": 1, "batch_size": 10, "weight_decay": 0.0, "warmup": 0.0, "restore": "last"}
        model, _ = train(tmp_path / str(lr), model=gpt2(), lr=lr, **settings)
        moved.append(max((p - start[name]).abs().max().item() for name, p in model.named_parameters()))
    assert moved[0] == pytest.approx(1e-3, rel=0.01) and moved[1] == pytest.approx(1e-4, rel=0.01)


# --- divergence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_loss_that_is_no_number_stops_training_and_the_message_names_lr(train, tmp_path, kind):
    with pytest.raises(Diverged, match=r"step [2-9].*lower lr \(it is 1e\+30\)"):
        train(tmp_path, kind, lr=1e30, warmup=0.0, clip=0.0)
    progress, kept, _ = StateFolder(tmp_path).load()
    assert progress.step == 0 and all(torch.isfinite(p).all() for p in kept.values())


def test_a_last_step_that_breaks_the_weights_does_not_go_unnoticed(train, tmp_path):
    with pytest.raises(Diverged, match="eval loss nan"):
        train(tmp_path, epochs=1, batch_size=10, lr=1e30, warmup=0.0)
    progress, kept, _ = StateFolder(tmp_path).load()
    assert progress.step == 0 and all(torch.isfinite(p).all() for p in kept.values())


def test_a_model_that_is_broken_from_the_start_is_refused_before_any_step(train, gpt2, notebook, tmp_path):
    model = gpt2()
    with torch.no_grad():
        model.transformer.h[0].mlp.c_fc.weight[0, 0] = math.inf
    tracker = notebook()
    with pytest.raises(Diverged, match="step 0"):
        train(tmp_path, model=model, tracker=tracker)
    assert StateFolder(tmp_path).load() is None and not tracker.values("train/loss")


def test_nothing_that_is_no_number_is_ever_logged(train, notebook, tmp_path):
    tracker = notebook()
    with pytest.raises(Diverged):
        train(tmp_path, tracker=tracker, lr=1e30, warmup=0.0)
    assert all(math.isfinite(value) for _, metrics in tracker.points for value in metrics.values())


def test_training_leaves_no_hook_or_changed_forward_on_the_model(train, tmp_path):
    model, _ = train(tmp_path, "wide")
    assert not any("forward" in vars(m) or m._forward_pre_hooks or m._forward_hooks for m in model.modules())
