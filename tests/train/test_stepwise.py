"""An adapter trained by single calls: the losses of the training loop, and of formulas computed here once more."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import UserError
from train import stepwise
from train.config import FinetuneConfig
from train.finetune import LoadedBase, finetune
from train.resume import StateFolder
from train.stepwise import AdamSettings, new_adapter
from train.token_losses import TOKEN_LOSSES, Datum

CONFIG = FinetuneConfig(
    epochs=4, batch_size=16, lr=1e-2, schedule="constant", warmup=0.0, weight_decay=0.02, clip=0.3, beta2=0.95,
    precision="fp32", row_tokens=32, rank=4,
)  # fmt: skip
ADAM = AdamSettings(CONFIG.lr, beta2=CONFIG.beta2, eps=1e-8, weight_decay=CONFIG.weight_decay, clip=CONFIG.clip)


def loaded(model):
    return LoadedBase(None, model, None, 64)  # type: ignore[arg-type]  (no source: nothing is saved here)


def datum(ids, **inputs):
    """A sequence whose targets are the tokens that follow."""
    values = {name: np.array(each, dtype=np.float32) for name, each in inputs.items()}
    return Datum(np.array(ids[:-1]), np.array(ids[1:]), values)


def weighted(examples, share):
    """Examples as data: the trained tokens have the weight ``share``, the others none."""
    return [datum(each.input_ids, weights=(each.labels[1:] >= 0) * share) for each in examples]


def sampled(seed=0, count=3):
    rng = np.random.default_rng(seed)
    return [
        datum(rng.integers(1, 61, 7 + i), logprobs=rng.normal(-4, 0.3, 6 + i), advantages=rng.normal(0, 1, 6 + i))
        for i in range(count)
    ]


def test_losses_and_gradient_norms_are_those_of_the_training_loop(gpt2, examples, notebook, tmp_path):
    rows, log = examples(10), notebook()
    finetune(rows, rows[:1], loaded(gpt2()), CONFIG, log, StateFolder(tmp_path))
    trainer = new_adapter(loaded(gpt2()), CONFIG)
    data = weighted(rows, 1 / sum(row.trained for row in rows))
    losses, norms = [], []
    for _ in range(CONFIG.epochs):
        losses.append(sum(trainer.forward_backward(part, "cross_entropy", {})[0] for part in (data[:3], data[3:])))
        norms.append(trainer.optim_step(ADAM))
    assert losses == pytest.approx(list(log.values("train/loss").values()), abs=1e-6)
    assert norms == pytest.approx(list(log.values("train/grad_norm").values()), rel=1e-4)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", TOKEN_LOSSES)
def test_a_loss_and_its_log_probabilities_are_those_of_each_sequence_alone(gpt2, name, monkeypatch):
    monkeypatch.setattr(stepwise, "PASS_TOKENS", 10)
    model, data = gpt2(), sampled()
    if name == "cross_entropy":
        data = [replace(each, inputs={"weights": each.inputs["advantages"]}) for each in data]
    trainer = new_adapter(loaded(model), CONFIG)
    found, log_probs = trainer.forward_backward(data, name, {}, backward=False)
    total = 0.0
    for each, own in zip(data, log_probs, strict=True):
        logits = trainer.model(input_ids=torch.from_numpy(each.tokens)[None]).logits[0]
        expected = logits.log_softmax(-1)[range(len(each.targets)), each.targets].detach().numpy()
        assert own == pytest.approx(expected, abs=1e-5)
        total += by_hand(name, expected, each.inputs)
    assert found == pytest.approx(total, abs=1e-4)
    assert all(weight.grad is None for weight in trainer.weights.values())


def by_hand(name, found, inputs):
    if name == "cross_entropy":
        return -(found * inputs["weights"]).sum()
    ratio, advantages = np.exp(found - inputs["logprobs"]), inputs["advantages"]
    clipped = ratio.clip(0.8, 1.2)
    return {
        "importance_sampling": -(ratio * advantages).sum(),
        "ppo": -np.minimum(ratio * advantages, clipped * advantages).sum(),
        "cispo": -(clipped * found * advantages).sum(),
    }[name]


def test_where_nothing_has_changed_yet_cispo_and_importance_sampling_have_one_gradient(gpt2):
    now = new_adapter(loaded(gpt2()), CONFIG).forward_backward(sampled(), "ppo", {}, backward=False)[1]
    data = [replace(each, inputs={**each.inputs, "logprobs": own}) for each, own in zip(sampled(), now, strict=True)]
    found = []
    for name in ("cispo", "importance_sampling"):
        trainer = new_adapter(loaded(gpt2()), CONFIG)
        trainer.forward_backward(data, name, {})
        found.append([weight.grad for weight in trainer.weights.values()])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_adapters_on_one_base_share_its_weights_and_do_not_change_each_other(gpt2):
    base = loaded(gpt2())
    one, other = (new_adapter(base, replace(CONFIG, seed=seed)) for seed in (1, 2))
    before = other.forward_backward(sampled(), "importance_sampling", {})[0]
    one.forward_backward(sampled(), "importance_sampling", {})
    one.optim_step(ADAM)
    assert other.forward_backward(sampled(), "importance_sampling", {}, backward=False)[0] == before
    weights = {id(each) for each in base.model.parameters()}
    assert {id(each) for each in one.model.parameters() if not each.requires_grad} == weights


@pytest.mark.parametrize(
    ("data", "name", "settings", "words"),
    [
        (sampled(), "dro", {}, "no loss 'dro' here; there is cross_entropy, importance_sampling"),
        (sampled(), "importance_sampling", {"beta": 1.0}, "no setting beta; it has none"),
        (sampled(), "ppo", {"low": 1.0}, "it has clip_low_threshold, clip_high_threshold"),
        ([*sampled(), datum([1, 2], advantages=[1])], "ppo", {}, "datum 3: loss_fn_inputs lacks logprobs"),
        ([datum([1, 2], mask=[1])], "cross_entropy", {}, "has mask, which is not used"),
        ([datum([1, 2, 3], weights=[1])], "cross_entropy", {}, "weights has 1 values for 2 targets"),
        ([datum([1, 2], weights=[np.nan])], "cross_entropy", {}, "not a finite number"),
        ([Datum(np.array([1, 2]), np.array([1]))], "cross_entropy", {}, "target_tokens has 1 values for 2 tokens"),
        ([datum([1])], "cross_entropy", {}, "model_input is empty"),
        ([datum([1, 61])], "cross_entropy", {}, "there is no token 61: this model has 0 to 60"),
        ([datum([-1, 2])], "cross_entropy", {}, "there is no token -1"),
        ([datum([1] * 130)], "cross_entropy", {}, "129 tokens, and this model has 128 positions"),
    ],
)  # fmt: skip
def test_what_can_not_be_computed_is_refused_by_name_and_leaves_no_gradient(gpt2, data, name, settings, words):
    trainer = new_adapter(loaded(gpt2()), CONFIG)
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        trainer.forward_backward(data, name, settings)
    with pytest.raises(UserError, match="no gradient since the last step"):
        trainer.optim_step(ADAM)


def test_a_loss_that_is_not_a_number_ends_the_step_and_not_the_model(gpt2):
    trainer = new_adapter(loaded(gpt2()), CONFIG)
    far = [replace(each, inputs={**each.inputs, "logprobs": each.inputs["logprobs"] - 200}) for each in sampled()]
    with pytest.raises(UserError, match="not a number"):
        trainer.forward_backward(far, "importance_sampling", {})
    trainer.forward_backward(sampled(), "importance_sampling", {})
    trainer.optim_step(ADAM)
    assert trainer.steps == 1
