"""No row is lost or seen twice, and packing rows side by side changes neither loss nor gradient."""

import numpy as np
import pytest

from train.encoding import IGNORE, Example, Pair
from train.packing import epoch_order, pack, step_rows

VOCABULARY = 50


def example(length, seed=0, trained=None):
    """Random tokens, of which the last ``trained`` (half, if not said) are trained."""
    ids = np.random.default_rng([seed, length]).integers(1, VOCABULARY, length).astype(np.int32)
    labels = ids.copy()
    labels[: length - (trained or length // 2)] = IGNORE
    labels[0] = IGNORE
    return Example(ids, labels)


EXAMPLES = [example(length, seed) for seed, length in enumerate((7, 3, 12, 5, 2, 9, 20, 4))]
TOKENS = sum(len(e.input_ids) for e in EXAMPLES)


@pytest.mark.parametrize(("n", "size"), [(1, 4), (8, 4), (10, 4), (250, 8), (3, 10)])
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_every_epoch_takes_every_row_exactly_once(n, size, epoch):
    steps = list(step_rows(n, size, seed=7, epoch=epoch))
    assert sorted(np.concatenate(steps).tolist()) == list(range(n))
    assert [len(step) for step in steps[:-1]] == [size] * (len(steps) - 1)
    assert len(steps[-1]) == (n % size or size)


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return np.concatenate(list(step_rows(40, 8, seed, epoch))).tolist()

    np.random.seed(0)
    first = order(1, 2)
    np.random.seed(5)
    assert order(1, 2) == first == epoch_order(40, 1, 2).tolist()
    assert len({tuple(order(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16


SHARED = [
    Example(np.concatenate([example(6).input_ids, e.input_ids]), np.concatenate([np.full(6, IGNORE), e.input_ids]))
    for e in EXAMPLES
]


def paths(batch):
    """What each source sees, in order of position, and its target: the example up to there."""
    length = batch.input_ids.shape[1]
    seen = np.tri(length, dtype=bool)[None] if batch.mask is None else batch.mask[:, 0]
    for source, target in zip(batch.sources, batch.targets, strict=True):
        row, at = divmod(int(source), length)
        path = np.flatnonzero(seen[row % len(seen), at])
        assert batch.position_ids[row, path].tolist() == list(range(len(path)))
        yield (*batch.input_ids[row, path].tolist(), int(target))


@pytest.mark.parametrize("row_tokens", [1, 10, 20, 32, 64, 1000])
@pytest.mark.parametrize("examples", [EXAMPLES, SHARED], ids=["unlike", "alike"])
def test_every_label_is_predicted_once_from_all_that_stands_before_it_in_its_example(examples, row_tokens):
    expected = [tuple(e.input_ids[: i + 1]) for e in examples for i in np.flatnonzero(e.labels != IGNORE)]
    assert sorted(paths(pack(examples, row_tokens))) == sorted(expected)


@pytest.mark.parametrize("row_tokens", [1, 20, 32, 64])
def test_no_row_is_longer_than_it_may_be_unless_one_example_is(row_tokens):
    longest = max(len(e.input_ids) for e in EXAMPLES)
    assert pack(EXAMPLES, row_tokens).input_ids.shape[1] <= max(row_tokens, longest - 1)


def test_one_long_row_holds_all_tokens_but_the_last_of_each_example():
    assert pack(EXAMPLES, TOKENS).input_ids.shape == (1, TOKENS - len(EXAMPLES))


def test_what_examples_of_a_row_begin_with_alike_stands_there_once():
    assert pack(SHARED, 1000).input_ids.shape == (1, 6 + TOKENS - len(SHARED))
    assert pack([SHARED[0]] * 3, 1000).input_ids.shape == (1, len(SHARED[0].input_ids) - 1)


def test_every_position_sees_something_so_that_no_softmax_is_empty():
    assert pack(EXAMPLES, 32).mask.any(axis=-1).all()


def test_one_example_a_row_needs_no_mask():
    assert pack(EXAMPLES, 1).mask is None
    assert pack(EXAMPLES[:1], 512).mask is None


def test_packed_rows_are_about_equally_full():
    ids = [50 * i + np.arange(n) for i, n in enumerate((9, 8, 8, 5, 5, 5))]  # without their last: 8, 7, 7, 4, 4, 4
    rows = [Example(each, each) for each in ids]
    assert pack(rows, 24).input_ids.shape == (2, 18)  # each in the first that has room: 22 and 12
    assert pack(rows, 7).input_ids.shape == (6, 8)  # none fits beside another


def test_what_is_padding_is_never_a_source_or_a_target():
    for row_tokens in (1, 20, 32):
        batch = pack(EXAMPLES, row_tokens, pad_id=0)
        assert (batch.input_ids.ravel()[batch.sources] > 0).all() and (batch.targets > 0).all()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["gpt2", "gpt2 eager", "llama"])
def model(request):
    """A tiny model with random weights, in double precision: what differs then is an error, not rounding."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    if request.param == "llama":
        shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        return LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=2, **shape)).double().eval()
    attention = "eager" if "eager" in request.param else "sdpa"
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, attn_implementation=attention, **shape)).double().eval()


def summed_loss_and_gradient(model, losses):
    model.zero_grad()
    total = sum(losses)
    total.backward()
    return total.item(), {name: p.grad.clone() for name, p in model.named_parameters()}


def alone(model, one):
    """Loss of one example by itself: nothing packed, padded, masked or picked."""
    import torch
    from torch.nn.functional import cross_entropy

    logits = model(input_ids=torch.tensor(one.input_ids[None].astype(np.int64))).logits[0, :-1]
    labels = torch.tensor(one.labels[1:].astype(np.int64))
    return cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")


def packed(model, examples, row_tokens):
    import torch
    from torch.nn.functional import cross_entropy

    from train.losses import trained_logits

    batch = pack(examples, row_tokens)
    logits = trained_logits(model, batch, torch.device("cpu"))
    assert logits.shape == (len(batch.targets), VOCABULARY)
    return cross_entropy(logits, torch.tensor(batch.targets), reduction="sum")


@pytest.mark.parametrize("row_tokens", [1, 20, 32, 64])
@pytest.mark.parametrize("examples", [EXAMPLES, SHARED], ids=["unlike", "alike"])
def test_packed_rows_have_the_loss_and_the_gradient_of_rows_alone(model, examples, row_tokens):
    loss, gradient = summed_loss_and_gradient(model, [alone(model, e) for e in examples])
    together, packed_gradient = summed_loss_and_gradient(model, [packed(model, examples, row_tokens)])
    assert together == pytest.approx(loss, abs=1e-4, rel=0)
    assert max(float(g.abs().max()) for g in gradient.values()) > 0.01
    for name, expected in gradient.items():
        assert float((packed_gradient[name] - expected).abs().max()) <= 1e-4, name


def test_the_order_of_the_rows_in_a_batch_does_not_change_the_loss(model):
    loss, other = packed(model, EXAMPLES, 32).item(), packed(model, EXAMPLES[::-1], 32).item()
    assert other == pytest.approx(loss, abs=1e-4, rel=0)


def test_picking_positions_leaves_no_hook_behind(model):
    packed(model, EXAMPLES, 32)
    assert not model.get_output_embeddings()._forward_pre_hooks


# --- pairs -----------------------------------------------------------------------------------------------------------


def pair(seed, chosen=4, rejected=3):
    """Two answers to one prompt of ten tokens."""
    prompt = example(10, seed=seed).input_ids
    return Pair(*(_answered(prompt, example(n, seed=100 + seed).input_ids) for n in (chosen, rejected)))


def _answered(prompt, answer):
    return Example(np.concatenate([prompt, answer]), np.concatenate([np.full_like(prompt, IGNORE), answer]))


@pytest.mark.parametrize("row_tokens", [1, 15, 30, 1000])
def test_both_sequences_of_a_pair_stand_in_one_row_with_their_prompt_once(row_tokens):
    batch = pack([pair(seed) for seed in range(4)], row_tokens)
    rows, length = batch.input_ids.shape
    assert rows == {1: 4, 15: 4, 30: 2, 1000: 1}[row_tokens] and length == 4 // rows * (10 + 3 + 2)
    for k in range(4):
        assert len(set(batch.sources[batch.owners // 2 == k] // length)) == 1


@pytest.mark.parametrize("row_tokens", [1, 20, 1000])
def test_every_target_names_its_sequence_in_the_order_of_the_rows(row_tokens):
    rows = [EXAMPLES[0], pair(1), EXAMPLES[1], pair(2, chosen=2, rejected=6)]
    batch, sequences = pack(rows, row_tokens), [sequence for row in rows for sequence in row.sequences]
    for number, one in enumerate(sequences):
        assert batch.targets[batch.owners == number].tolist() == one.labels[one.labels != IGNORE].tolist()
