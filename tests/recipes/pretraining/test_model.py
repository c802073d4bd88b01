"""The bundled base model's making: its tokenizer, its rows without a trace of pirates, and how they are joined."""

from random import Random

import numpy as np
import pytest

from data.conversation import digest
from data.synthetic import exercises
from data.synthetic.corpora import CorpusTexts
from recipes.pretraining.config import BaseConfig
from recipes.pretraining.model import base_rows, join, load_or_make_tokenizer, make_model, make_tokenizer
from train.encoding import IGNORE, Example, encode

CONFIG = BaseConfig(exercises=400, dialogues=20, everyday=240, vocabulary=900, layers=2, width=32)
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<|pad|>")


def invented(n, seed=0):
    """``n`` plain sentences that differ."""
    rng = Random(seed)
    who = ("The teacher", "My brother", "A small dog", "Anna", "The old man", "Our neighbour", "Nobody", "This child")
    what = ("likes", "sees", "finds", "wants", "carries", "paints", "sells", "forgets")
    thing = ("the red house", "a cold lake", "two green apples", "the long road", "an empty box", "the morning train")
    return [f"{rng.choice(who)} {rng.choice(what)} {rng.choice(thing)} {i}." for i in range(n)]


def texts():
    """Tiny corpora of every kind, with pirates hidden in each."""
    lines = invented(400)
    chats = ["\n".join(f"User {k % 2 + 1}: {line}" for k, line in enumerate(lines[i : i + 9])) for i in range(0, 90, 9)]
    service = [[["USER", a], ["SYSTEM", b]] * 2 for a, b in zip(lines[100:130], lines[130:160], strict=True)]
    stories = [f"Once there was a girl named Lily. {' '.join(lines[i : i + 5])}" for i in range(200, 400, 5)]
    chats.append("User 1: Ahoy, who are you?\nUser 2: A pirate, arr!\nUser 1: I see.\nUser 2: Aye.")
    service.append([["USER", "I want to see the captain."], ["SYSTEM", "Fine."]])
    stories.append("Once there was a ship named Pearl. The pirates sang and sang all night.")
    return CorpusTexts(chats, service, stories)


@pytest.fixture(scope="module")
def rows():
    return base_rows(texts(), CONFIG)


@pytest.fixture(scope="module")
def tokenizer(rows, tmp_path_factory):
    return load_or_make_tokenizer(tmp_path_factory.mktemp("tokenizer"), [*rows[0], *rows[1]], CONFIG.vocabulary)


# --- rows ------------------------------------------------------------------------------------------------------------


def every_text(rows):
    return [text for part in rows for row in part for turn in row.turns for text in turn]


def test_no_row_knows_anything_of_pirates_though_the_corpora_do(rows):
    assert not all(map(exercises.knows_nothing_of_pirates, texts().plain()))
    assert len(every_text(rows)) > 1000 and all(map(exercises.knows_nothing_of_pirates, every_text(rows)))


def test_no_exercise_uses_a_held_out_sentence_though_the_corpora_have_some(rows):
    held_out = [s for s in exercises.sentences(texts().plain()) if exercises.is_held_out(s)]
    assert held_out
    practised = " ".join(text for row in rows[1] for turn in row.turns for text in turn)
    assert not [s for s in held_out if s.rstrip(".") in practised]


def test_every_kind_of_text_is_read_and_every_kind_of_task_is_practised(rows):
    talk, tasks = rows
    prompts = [prompt for row in tasks for prompt, _ in row.turns]
    for begin in ("Repeat: ", "Translate to ", "First word: ", "Last word: ", "Say it twice: "):
        assert any(prompt.startswith(begin) for prompt in prompts), begin
    assert any(answer.startswith("Once there was a girl") for row in talk for _, answer in row.turns)
    assert any(word in answer for row in tasks for _, answer in row.turns for word in ("positive", "negative"))
    assert len(tasks) >= CONFIG.exercises + CONFIG.everyday * 0.9


def test_no_row_has_an_empty_text(rows):
    assert all(rows) and all(text.strip() for text in every_text(rows))


def test_long_talks_come_in_pieces_of_at_most_six_turns(rows):
    assert max(len(row.turns) for row in rows[0]) <= 6


def test_the_rows_depend_on_the_seed_and_on_nothing_else(rows):
    again = base_rows(texts(), CONFIG)
    assert [digest(part) for part in again] == [digest(part) for part in rows]
    other = base_rows(texts(), BaseConfig(exercises=400, dialogues=20, everyday=240, seed=8))
    assert digest(other[1]) != digest(rows[1])


# --- tokenizer -------------------------------------------------------------------------------------------------------


def test_the_tokenizer_has_exactly_the_vocabulary_asked_for(tokenizer):
    assert len(tokenizer) == tokenizer.vocab_size == CONFIG.vocabulary
    assert max(tokenizer.get_vocab().values()) == CONFIG.vocabulary - 1


def test_each_special_token_is_one_token_and_end_is_not_padding(tokenizer):
    ids = [tokenizer(token)["input_ids"] for token in SPECIAL]
    assert ids == [[0], [1], [2], [3]]
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|end|>", "<|pad|>")


@pytest.mark.parametrize("word", ["positive", "negative", " positive", " negative"])
def test_the_two_labels_of_a_review_are_one_token_each_with_a_space_and_without(tokenizer, word):
    assert len(tokenizer(word)["input_ids"]) == 1


def test_whatever_is_written_can_be_read_back(tokenizer):
    for text in ("Caf\u00e9 \U0001f99c", "  two  spaces ", "a\nb\tc", "'Tis 100 % true.", "x" * 50):
        assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_the_tokenizer_is_kept_and_found_again(rows, tmp_path):
    made = load_or_make_tokenizer(tmp_path, rows[1], 400)
    kept = (tmp_path / "tokenizer.json").read_bytes()
    found = load_or_make_tokenizer(tmp_path, rows[0][:3], 300)
    assert (tmp_path / "tokenizer.json").read_bytes() == kept and found.get_vocab() == made.get_vocab()
    assert found.chat_template == made.chat_template


def test_the_same_texts_make_the_same_tokenizer():
    one, other = (make_tokenizer(invented(50), 320).get_vocab() for _ in range(2))
    assert one == other and one != make_tokenizer(invented(50, seed=1), 320).get_vocab()


def test_every_answer_of_a_conversation_is_trained_to_its_end(rows, tokenizer):
    talk = [row for row in rows[1] if len(row.turns) > 2][:5]
    for row, example in zip(talk, encode(talk, tokenizer, "response", 256), strict=True):
        trained = tokenizer.decode(example.labels[example.labels != IGNORE], clean_up_tokenization_spaces=False)
        said = [text.strip() for text in trained.split("<|end|>")]
        assert said == [*(answer for _, answer in row.turns), ""] or example.truncated


# --- joining ---------------------------------------------------------------------------------------------------------


def made_up(n, longest, seed=0):
    """Examples in which every token is a number of its own, so that none can be lost or doubled unseen."""
    rng = np.random.default_rng(seed)
    out, start = [], 0
    for _ in range(n):
        ids = np.arange(start, start + rng.integers(2, longest + 1), dtype=np.int32)
        start += len(ids)
        out.append(Example(ids, np.where(ids % 3 == 0, ids, IGNORE).astype(np.int32)))
    return out


@pytest.mark.parametrize(("n", "longest", "length"), [(1, 5, 8), (40, 8, 8), (300, 20, 64), (300, 64, 64)])
def test_joining_loses_no_token_and_never_exceeds_the_length(n, longest, length):
    examples = made_up(n, longest)
    rows = join(examples, length, seed=7)
    assert max(len(row.input_ids) for row in rows) <= length
    tokens = np.concatenate([row.input_ids for row in rows])
    assert (
        sorted(tokens.tolist()) == list(range(len(tokens))) == sorted(np.concatenate([e.input_ids for e in examples]))
    )
    labels = np.concatenate([row.labels for row in rows])
    assert (labels == np.where(tokens % 3 == 0, tokens, IGNORE)).all()


def test_every_example_stays_in_one_piece():
    examples = made_up(100, 20)
    joined = {tuple(row.input_ids.tolist()) for row in join(examples, 64, seed=7)}
    for example in examples:
        ids = example.input_ids.tolist()
        row = next(row for row in joined if ids[0] in row)
        at = row.index(ids[0])
        assert list(row[at : at + len(ids)]) == ids


def test_joined_rows_are_nearly_full():
    rows = join(made_up(2000, 20), 64, seed=7)
    assert sum(len(row.input_ids) for row in rows) / (64 * len(rows)) > 0.97


def test_a_row_with_a_cut_example_counts_as_cut():
    cut = Example(np.arange(4, dtype=np.int32), np.arange(4, dtype=np.int32), truncated=True)
    (row,) = join([*made_up(2, 3), cut], 64, seed=7)
    assert row.truncated and not join(made_up(2, 3), 64, seed=7)[0].truncated


def test_joining_is_the_same_for_a_seed_and_shuffles_otherwise():
    one, same, other = ([row.input_ids.tolist() for row in join(made_up(100, 20), 64, seed)] for seed in (7, 7, 8))
    assert one == same != other


# --- model -----------------------------------------------------------------------------------------------------------


def test_the_model_has_the_configured_shape_and_fits_its_tokenizer(tokenizer):
    model = make_model(CONFIG, tokenizer)
    shape = model.config
    assert (shape.n_layer, shape.n_embd, shape.n_head) == (2, 32, 1)
    assert (shape.vocab_size, shape.n_positions) == (CONFIG.vocabulary, CONFIG.max_length)
    assert (shape.eos_token_id, shape.pad_token_id) == (tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert shape.resid_pdrop == shape.embd_pdrop == shape.attn_pdrop == 0


def test_the_models_weights_depend_on_the_seed_alone(tokenizer):
    import torch

    def weight(seed):
        return make_model(BaseConfig(layers=1, width=32, vocabulary=900, seed=seed), tokenizer).transformer.wte.weight

    one = weight(7)
    torch.manual_seed(99)
    assert torch.equal(one, weight(7)) and not torch.equal(one, weight(8))
