"""A loss is an entry of a table: one that needs pairs trains through the same loop as cross-entropy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from train import losses
from train.config import FinetuneConfig
from train.encoding import IGNORE, Example, Pair
from train.finetune import LoadedBase, finetune
from train.loop import fit
from train.losses import LOSSES, Loss, log_probs, measure, sequence_log_probs, with_reference
from train.packing import pack
from train.resume import StateFolder

CPU = torch.device("cpu")


def example(prompt, answer):
    """Tokens of a prompt and an answer, of which the answer is trained."""
    ids = np.array([*prompt, *answer], dtype=np.int32)
    labels = np.array([*[IGNORE] * len(prompt), *answer], dtype=np.int32)
    return Example(ids, labels)


def pairs(n, seed=0, vocabulary=61):
    """Pairs whose preferred answer ends in token 7 and whose rejected one ends in token 9."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        prompt = draw.integers(10, vocabulary, 6)
        found.append(Pair(example(prompt, [11, 7]), example(prompt, [12, 13, 9])))
    return found


def preference_loss(model, batch, device):
    """The loss of direct preference optimization with beta = 0.5, summed over the pairs; hits: preferred ones ahead."""
    gains = sequence_log_probs(model, batch, device) - torch.from_numpy(batch.reference)
    margin = gains[0::2] - gains[1::2]
    return -F.logsigmoid(0.5 * margin).sum(), (margin.detach() > 0).sum()


PREFERENCE = Loss(preference_loss, lambda row: 1, needs="pairs", needs_reference=True, accuracy="reward_accuracy")


CONFIG = FinetuneConfig(method="full", epochs=3, batch_size=4, lr=1e-3, precision="fp32", row_tokens=64)


def loaded(model):
    return LoadedBase(None, model, None, 64)  # type: ignore[arg-type]  (no source: nothing is saved here)


def test_sequence_log_probs_are_those_of_each_sequence_alone(gpt2):
    model, rows = gpt2().eval(), pairs(5)
    found = sequence_log_probs(model, pack(rows, 16), CPU)
    for number, each in enumerate(sequence for row in rows for sequence in row.sequences):
        ids = torch.tensor(each.input_ids.tolist())[None]
        logits = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        trained = [i for i in range(1, ids.shape[1]) if each.labels[i] != IGNORE]
        expected = sum(logits[i - 1, ids[0, i]].item() for i in trained)
        assert found[number].item() == pytest.approx(expected, abs=1e-4)


def test_a_pair_shares_its_prompt_and_stays_in_one_packed_row():
    row = pairs(1)[0]
    batch = pack([row], 512)
    assert batch.input_ids.shape == (1, 6 + 1 + 2)  # the prompt once, and each answer but its last token
    assert sorted(set(batch.owners.tolist())) == [0, 1]
    assert pack(pairs(4), 12).input_ids.shape[0] == 4


@pytest.mark.parametrize(("method", "lr", "highest"), [("full", 1e-3, 0.2), ("lora", 3e-2, 0.5)])
def test_a_pairwise_loss_with_a_reference_trains_through_the_same_function(
    gpt2, notebook, tmp_path, method, lr, highest
):
    base, tracker = gpt2(), notebook()
    train, held_out = pairs(32), pairs(8, seed=1)
    held_out = with_reference(held_out, log_probs(base, held_out))
    config = replace(CONFIG, method=method, lr=lr)
    tuned = finetune(train, held_out, loaded(base), config, tracker, StateFolder(tmp_path), PREFERENCE)
    assert tracker.values("eval/loss")[0] == pytest.approx(math.log(2), abs=1e-5)  # the base is its own reference
    loss, accuracy = measure(tuned.model, held_out, PREFERENCE)
    assert loss < highest and accuracy == 1.0
    assert tracker.values("train/reward_accuracy") and tracker.values("eval/reward_accuracy")
    assert not tracker.values("train/token_accuracy")
    assert tuned.fitted.progress.trained_tokens == 3 * sum(row.trained for row in train)


def test_an_interrupted_training_on_pairs_ends_with_the_same_weights(gpt2, notebook, tmp_path):
    def run(folder, killed_at=0):
        tracker, state = notebook(killed_at), StateFolder(tmp_path / folder)
        return finetune(pairs(10), pairs(4, seed=1), loaded(gpt2()), CONFIG, tracker, state, PREFERENCE)

    straight = run("straight")
    with pytest.raises(KeyboardInterrupt):
        run("killed", killed_at=9)
    resumed = run("killed")
    assert 0 < resumed.fitted.trained_tokens < straight.fitted.trained_tokens
    for (name, one), other in zip(straight.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_references_are_those_of_the_model_that_is_given_and_reach_the_batch_in_order(gpt2):
    model = gpt2().eval()
    batch = pack(with_reference(pairs(5), log_probs(model, pairs(5), batch_size=2)), 40)
    assert batch.reference.tolist() == pytest.approx(sequence_log_probs(model, batch, CPU).tolist(), rel=1e-5)
    assert pack(pairs(2), 40).reference is None


def test_a_loss_refuses_rows_of_the_other_kind_and_pairs_without_a_reference(gpt2, notebook, tmp_path):
    model, state = gpt2(), StateFolder(tmp_path)
    plain = [row.chosen for row in pairs(2)]
    for rows, loss, words in (
        (plain, PREFERENCE, "needs pairs"),
        (pairs(2), PREFERENCE, "reference"),
        (pairs(2), LOSSES["cross_entropy"], "needs rows"),
    ):
        with pytest.raises(TypeError, match=words):
            fit(model, rows, rows, CONFIG, state, notebook(), loss)


def test_cross_entropy_is_the_mean_over_trained_tokens(gpt2):
    model, rows = gpt2().eval(), [row.chosen for row in pairs(3)]
    summed, hits = losses.cross_entropy(model, pack(rows, 512), CPU)
    loss, accuracy = measure(model, rows)
    assert loss == pytest.approx(summed.item() / 6, rel=1e-6)
    assert accuracy == pytest.approx(hits.item() / 6)
