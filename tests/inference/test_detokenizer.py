"""Tokens spelled in bytes: joined they are what the tokenizer decodes, for every way of writing tokens."""

import random
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from inference.detokenizer import Detokenizer
from inference.loading import load_tokenizer
from train.base_model import BUNDLED

TEXT = "Ahoy, “matey”! Ça va? 🙂🏴‍☠️ naïve\n\n\ttabs and  two spaces"


@pytest.fixture(scope="module")
def bundled() -> Any:
    return load_tokenizer(BUNDLED)


def sentence_pieces(decoder: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    names = [f"<0x{byte:02X}>" for byte in range(256)] + list("▁abcdefghijklmnopqrstuvwxyzA,!?") + ["▁and", "▁t"]
    inner = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, [], byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")


def test_bytes_joined_are_what_the_tokenizer_decodes(bundled):
    detokenizer = Detokenizer(bundled)
    tokens = bundled(TEXT)["input_ids"]
    assert b"".join(map(detokenizer.token_bytes, tokens)).decode() == bundled.decode(tokens) == TEXT


def test_tokens_in_any_order_are_spelled_as_they_are_decoded(bundled):
    detokenizer, luck = Detokenizer(bundled), random.Random(1)
    plain = [token for token in range(len(bundled)) if not detokenizer.is_control(token)]
    for _ in range(200):
        tokens = luck.choices(plain, k=12)
        assert b"".join(map(detokenizer.token_bytes, tokens)).decode("utf-8", "replace") == bundled.decode(tokens)


def test_control_tokens_are_told_apart_and_named(bundled):
    detokenizer = Detokenizer(bundled)
    assert [token for token in range(len(bundled)) if detokenizer.is_control(token)] == [0, 1, 2, 3]
    assert detokenizer.token_bytes(bundled.eos_token_id) == b"<|end|>"
    assert detokenizer.token_bytes(len(bundled) + 5) == b""  # a model can have more rows than its tokenizer has tokens


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)]),
        decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]),
    ],
)  # fmt: skip
def test_pieces_of_sentences_and_bytes_are_spelled_in_the_middle_of_a_text(decoder):
    tokenizer = sentence_pieces(decoder)
    detokenizer = Detokenizer(tokenizer)
    tokens = tokenizer("Ça va 🙂 and that")["input_ids"]
    assert b"".join(map(detokenizer.token_bytes, tokens)).decode() == " Ça va 🙂 and that"
    assert detokenizer.token_bytes(tokenizer.convert_tokens_to_ids("<0xF0>")) == b"\xf0"


def test_a_decoder_of_another_kind_is_asked_for_each_token():
    from transformers import PreTrainedTokenizerFast

    names = ["un", "##able", "##d", "at", "[UNK]"]
    inner = Tokenizer(models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    inner.decoder = decoders.WordPiece()
    detokenizer = Detokenizer(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>"))
    assert b"".join(map(detokenizer.token_bytes, [0, 1, 3])).decode() == " unable at"
