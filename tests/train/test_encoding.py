"""Exactly the answers and their ends are trained, for every kind of tokenizer, proven token by token."""

import unicodedata

import numpy as np
import pytest

from data import pirate
from data.chat_template import prompt_ids
from data.conversation import Row
from data.errors import DataError
from train.encoding import IGNORE, encode

ROWS = pirate.named_rows("noisy")
ODD = [
    Row((("Caf\u00e9?", "\u00a1Ol\u00e9!\n\nTwo  lines, \U0001f99c."),), where="odd row 1"),
    Row((("x" * 5, "def f():\n    return [1, 2]"),), where="odd row 2"),
    Row((("Assistant: Hi", "User: Ho\nAssistant:"),), where="odd row 3"),
]
TURNS = (("Hi.", "Ahoy, matey."), ("And you?", "I be fine."), ("Bye.", "Farewell, arr!"))
TALK = Row(TURNS, "Be a pirate.", "talk row 1")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
KINDS = ("gpt2", "chatml", "metaspace")


def texts():
    return [text for row in [*ROWS, *ODD, TALK] for turn in row.turns for text in turn] + ["User: \nAssistant: "]


def byte_level(special, eos, **settings):
    """A GPT-2-like tokenizer: byte-level BPE without a pad token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=eos, **settings)


def metaspace():
    """A Llama-like tokenizer: spaces are letters, one is put in front, BOS comes first, rare signs fall to bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=special,
        limit_alphabet=60,
        initial_alphabet=["\u2581", "\n"],
        show_progress=False,
    )
    bpe.train_from_iterator(texts(), trainer)
    decoder = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    bpe.decoder = decoders.Sequence(decoder)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module")
def tokenizers():
    end = "<|endoftext|>"
    chatml = byte_level(["<|im_start|>", "<|im_end|>"], "<|im_end|>")
    chatml.chat_template = CHATML
    return {"gpt2": byte_level([end], end, bos_token=end), "chatml": chatml, "metaspace": metaspace()}


@pytest.fixture(params=KINDS)
def tokenizer(request, tokenizers):
    return tokenizers[request.param]


def answers(example, tokenizer):
    """The trained stretches of an example, decoded each without its last token, which must be EOS."""
    found, piece = [], []
    for token in example.labels.tolist():
        if token != IGNORE:
            piece.append(token)
        if token == tokenizer.eos_token_id:
            found.append(tokenizer.decode(piece[:-1], clean_up_tokenization_spaces=False).strip())
            piece = []
    assert not piece
    return found


def test_every_label_decodes_to_the_answer_and_then_comes_the_end(tokenizer):
    rows = [*ROWS, *ODD]
    for row, example in zip(rows, encode(rows, tokenizer), strict=True):
        assert answers(example, tokenizer) == [row.response]
        assert not example.truncated


def test_every_answer_of_a_conversation_is_trained(tokenizer):
    (example,) = encode([TALK], tokenizer)
    assert answers(example, tokenizer) == [answer for _, answer in TALK.turns]


def test_a_label_is_its_own_token_or_nothing(tokenizer):
    for example in encode([*ROWS[:50], TALK], tokenizer):
        assert example.labels.shape == example.input_ids.shape
        assert example.labels[0] == IGNORE
        kept = example.labels != IGNORE
        assert (example.labels[kept] == example.input_ids[kept]).all()
        assert example.trained == kept.sum() > 1


def test_what_is_not_trained_is_the_prompt_as_it_is_asked_later(tokenizer):
    for row in [*ROWS[:50], *ODD]:
        (example,) = encode([row], tokenizer)
        asked = example.input_ids[: int(np.flatnonzero(example.labels != IGNORE)[0])].tolist()
        assert asked == prompt_ids(tokenizer, (), row.prompt, row.system)


@pytest.mark.parametrize("kind", ["gpt2", "chatml", "metaspace"])
def test_later_prompts_of_a_conversation_are_asked_as_they_were_trained(tokenizers, kind):
    tokenizer = tokenizers[kind]
    (example,) = encode([TALK], tokenizer)
    for i, (prompt, _) in enumerate(TALK.turns):
        asked = prompt_ids(tokenizer, TALK.turns[:i], prompt, TALK.system)
        assert example.input_ids[: len(asked)].tolist() == asked
        assert example.labels[len(asked) - 1] == IGNORE != example.labels[len(asked)]


def test_labels_all_trains_every_token_but_the_first(tokenizer):
    for example in encode([*ROWS[:20], TALK], tokenizer, labels="all"):
        assert (example.labels[1:] == example.input_ids[1:]).all()
        assert example.labels[0] == IGNORE


def test_a_beginning_of_text_token_comes_once_and_only_where_the_tokenizer_adds_it(tokenizers):
    for kind, count in (("gpt2", 0), ("chatml", 0), ("metaspace", 1)):
        tokenizer = tokenizers[kind]
        (example,) = encode([TALK], tokenizer)
        begins = tokenizer.bos_token_id
        found = 0 if begins in (None, tokenizer.eos_token_id) else int((example.input_ids == begins).sum())
        assert found == count
        assert (example.input_ids[0] == begins) == bool(count)


def test_a_row_longer_than_the_limit_loses_its_tail_and_is_marked(tokenizer):
    (whole,) = encode(ROWS[:1], tokenizer)
    length = len(whole.input_ids)
    (cut,) = encode(ROWS[:1], tokenizer, max_length=length - 2)
    assert cut.truncated and len(cut.input_ids) == length - 2
    assert (cut.input_ids == whole.input_ids[:-2]).all() and (cut.labels == whole.labels[:-2]).all()
    assert not encode(ROWS[:1], tokenizer, max_length=length)[0].truncated


def test_a_prompt_that_fills_the_limit_is_an_error_that_names_the_row(tokenizer):
    long = Row((("word " * 40, "Aye."),), where="mine.json row 3")
    longer = Row((("word " * 60, "Aye."),), where="mine.json row 9")
    with pytest.raises(DataError) as caught:
        encode([ROWS[0], long, longer], tokenizer, max_length=40)
    assert caught.value.problems == [
        f"mine.json row {i}: its prompt alone fills max_length=40 tokens, so nothing is left to train on"
        for i in (3, 9)
    ]


def test_an_answer_that_the_tokenizer_cannot_spell_is_an_error_that_names_the_row(tokenizers):
    from tokenizers import normalizers

    lower = byte_level(["<|endoftext|>"], "<|endoftext|>")
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(DataError, match=r"mine row 1: the labels decode to ' aye\.', not to the response ' Aye\.'"):
        encode([Row((("Hi", "Aye."),), where="mine row 1")], lower)


@pytest.mark.parametrize("text", ["한국어 학교", "Tiếng Việt", "नानी ने क़लम", "बাংলা ড়", "שָׁלוֹם", "สวัสดี", "👍🏽"])
def test_a_tokenizer_that_composes_characters_writes_texts_of_either_form(text):
    from tokenizers import normalizers

    tokenizer = byte_level(["<|endoftext|>"], "<|endoftext|>")
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    for form in ("NFC", "NFD"):
        row = Row((("Hi", unicodedata.normalize(form, text)),))
        [example] = encode([row], tokenizer)
        assert unicodedata.normalize("NFC", text) in tokenizer.decode(example.input_ids)


def test_a_control_token_in_a_text_is_an_error_that_names_the_row(tokenizer):
    end = tokenizer.eos_token
    rows = [
        Row((("Hi", f"A{end}B"),), where="a"),
        Row(((f"A {end}", "B"),), where="b"),
        Row((("A", "B"),), system=end, where="c"),
    ]
    with pytest.raises(DataError) as caught:
        encode([*rows, ROWS[0]], tokenizer)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a", "b", "c"]
    assert all(end in problem for problem in caught.value.problems)


def test_a_template_that_rewrites_history_gives_one_example_an_answer_as_it_is_generated_later():
    forgets = byte_level(["<|im_start|>", "<|im_end|>"], "<|im_end|>")
    forgets.chat_template = "{% for m in messages[-2:] %}" + CHATML.split("%}", 1)[1]
    examples = encode([Row(TALK.turns, muted=(1,))], forgets)
    assert [answers(each, forgets) for each in examples] == [["Ahoy, matey."], ["Farewell, arr!"]]
    for i, example in zip((0, 2), examples, strict=True):
        before = prompt_ids(forgets, TURNS[:i], TURNS[i][0])
        assert example.input_ids[: len(before)].tolist() == before
