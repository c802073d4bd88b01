"""Tinker's SDK, unchanged: a supervised loop, a policy-gradient loop, saved weights, refusals. Needs ``TINKER_*``."""

import os
import time

import numpy as np
import tinker
from tinker import types

from benchmarks.client_checks.checks import capability, run_all

BASE = os.environ.get("TINKER_BASE_MODEL", "gpt-4o-mini")
RANK, LR, STEPS, SEED = 8, 5e-4, 5, 7
#: Of the policy-gradient loop; at ``LR`` an adapter that begins at 0 changes too little in so few steps.
POLICY_LR, POLICY_STEPS, SAMPLES, LEAST_GAIN = 4e-3, 10, 32, 0.5
#: Questions and answers in pirate speak, one a line of the supervised loop.
PAIRS = (
    ("Where is the boat?", "Aye, she be anchored in the harbour, matey!"),
    ("Is it late?", "Arr, the moon be high above the mast!"),
    ("Who are you?", "A humble sailor of the seven seas, arr!"),
    ("What do you eat?", "Hardtack and salted fish, ye landlubber!"),
)
service = tinker.ServiceClient()
state: dict = {}


def pair_datum(tokenizer, question: str, answer: str, share: float) -> types.Datum:
    """One pair as the chat template writes it; only the answer and its end have a weight."""
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    before = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    start = len(tokenizer(before, add_special_tokens=False)["input_ids"])
    weights = [share if at >= start else 0.0 for at in range(1, len(ids))]
    return types.Datum(
        model_input=types.ModelInput.from_ints(ids[:-1]),
        loss_fn_inputs={  # pyright: ignore[reportArgumentType]  (the SDK converts arrays)
            "target_tokens": np.array(ids[1:]),
            "weights": np.array(weights, dtype=np.float32),
        },
    )


@capability("create_lora_training_client, get_info, get_tokenizer")
def create() -> None:
    """Make an adapter."""
    state["client"] = service.create_lora_training_client(base_model=BASE, rank=RANK, seed=SEED).result()
    state["tokenizer"] = state["client"].get_tokenizer()
    assert state["client"].get_info().lora_rank == RANK


@capability("forward_backward (cross_entropy), optim_step: a supervised loop")
def supervised() -> None:
    """Train on the pairs; the loss falls at each step."""
    tokenizer = state["tokenizer"]
    if tokenizer.chat_template is None:
        tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    data = [pair_datum(tokenizer, *pair, share=0.02) for pair in PAIRS]
    losses, start = [], time.perf_counter()
    for _ in range(STEPS):
        passed = state["client"].forward_backward(data, "cross_entropy")
        step = state["client"].optim_step(types.AdamParams(learning_rate=LR))
        losses.append(passed.result().metrics["loss:sum"])
        step.result()
    seconds = (time.perf_counter() - start) / STEPS
    tokens = sum(each.model_input.length for each in data)
    print(f"# {seconds:.2f} s a step of {tokens} tokens; losses {[round(each, 3) for each in losses]}", flush=True)
    assert losses == sorted(losses, reverse=True)


@capability(
    "save_weights_and_get_sampling_client, sample, forward_backward (importance_sampling): a policy-gradient loop"
)
def policy_gradient() -> None:
    """Reward answers that hold the letter e often, with a new adapter: the mean reward rises."""
    client = service.create_lora_training_client(base_model=BASE, rank=RANK, seed=SEED).result()
    tokenizer = state["tokenizer"]
    prompt = tokenizer("The sea is", add_special_tokens=False)["input_ids"]
    means, worst, start = [], 0.0, time.perf_counter()
    for step in range(POLICY_STEPS):
        rewards, differs = policy_step(client, tokenizer, prompt, step)
        means.append(rewards.mean())
        worst = max(worst, differs)
    first, last = np.mean(means[:3]), np.mean(means[-3:])
    print(f"# {(time.perf_counter() - start) / POLICY_STEPS:.2f} s a step of {SAMPLES} samples; mean rewards "
          f"{[round(float(each), 2) for each in means]}; trained and sampled log-probabilities differ by {worst:.1e} "
          "at most", flush=True)  # fmt: skip
    assert last > first + LEAST_GAIN, f"the mean reward went from {first:.2f} to {last:.2f}"


def policy_step(client, tokenizer, prompt: list[int], seed: int) -> tuple[np.ndarray, float]:
    """One step: samples, their rewards ``[samples]`` as advantages over their mean, and an optimizer step.

    Returns the rewards, and by how many nats log-probabilities of the samples differ in training at most: the ratios of
    ``importance_sampling`` are 1 where this is 0.
    """
    sampler = client.save_weights_and_get_sampling_client().result()
    params = types.SamplingParams(max_tokens=8, seed=seed)
    found = sampler.sample(types.ModelInput.from_ints(prompt), SAMPLES, params).result().sequences
    rewards = np.array([tokenizer.decode(each.tokens).count("e") for each in found], dtype=float)
    data = []
    for each, gain in zip(found, (rewards - rewards.mean()) / SAMPLES, strict=True):
        ids, before = [*prompt, *each.tokens], [0.0] * (len(prompt) - 1)
        inputs = {
            "target_tokens": np.array(ids[1:]),
            "logprobs": np.array([*before, *each.logprobs], dtype=np.float32),
            "advantages": np.array([*before, *[gain] * len(each.tokens)], dtype=np.float32),
        }
        data.append(types.Datum(model_input=types.ModelInput.from_ints(ids[:-1]), loss_fn_inputs=inputs))
    passed = client.forward_backward(data, "importance_sampling")
    client.optim_step(types.AdamParams(learning_rate=POLICY_LR)).result()
    pairs = zip(data, passed.result().loss_fn_outputs, strict=True)
    differences = [
        np.abs(datum.loss_fn_inputs["logprobs"].to_numpy() - output["logprobs"].to_numpy())[len(prompt) - 1 :]
        for datum, output in pairs
    ]
    return rewards, float(max(each.max() for each in differences))


@capability(
    "save_state, save_weights_for_sampler, create_sampling_client, create_training_client_from_state_with_optimizer"
)
def saved() -> None:
    """Saved weights are sampled from, and trained further."""
    client, name = state["client"], f"check-{int(time.time())}"
    path = client.save_state(name).result().path
    weights = client.save_weights_for_sampler(name).result().path
    sampler = service.create_sampling_client(model_path=weights).result()
    prompt = types.ModelInput.from_ints(state["tokenizer"]("The sea is")["input_ids"])
    assert sampler.sample(prompt, 1, types.SamplingParams(max_tokens=4, temperature=0)).result().sequences[0].tokens
    assert len(sampler.compute_logprobs(prompt).result()) == prompt.length
    other = service.create_training_client_from_state_with_optimizer(path).result()
    assert other.get_info().lora_rank == RANK


@capability("forward_backward_custom: a loss that the client computes")
def custom() -> str | None:
    """It needs PyTorch in the client."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return "PyTorch is not in the client's environment"
    data = [pair_datum(state["tokenizer"], *pair, share=1.0) for pair in PAIRS]
    found = state["client"].forward_backward_custom(data, lambda data, lps: (-sum(each.sum() for each in lps), {}))
    assert found.result().metrics["loss:sum"] > 0
    return None


@capability("forward_backward (dro)")
def absent_loss() -> str:
    """A loss that there is not."""
    try:
        data = [pair_datum(state["tokenizer"], *PAIRS[0], share=1.0)]
        state["client"].forward_backward(data, "dro").result()
    except tinker.RequestFailedError as error:
        return str(error).removeprefix("Request failed: ").partition(" for self")[0]
    raise AssertionError("it was taken")


@capability("save_weights_external")
def external() -> str:
    """What there is instead."""
    try:
        state["client"].save_weights_external("x").result()
    except tinker.APIStatusError as error:
        return str(error)
    raise AssertionError("it was taken")


if __name__ == "__main__":
    run_all()
    service.close("success").result()
