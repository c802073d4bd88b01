"""Making the bundled base model: its tokenizer, its shape and its rows of text."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from data.conversation import Row
from data.synthetic import exercises, questions, review_dialogues, small_talk
from data.synthetic.corpora import CorpusTexts
from recipes.pretraining.config import BaseConfig
from train.encoding import Example

END, USER, ASSISTANT, PAD = "<|end|>", "<|user|>", "<|assistant|>", "<|pad|>"
CHAT_TEMPLATE = (
    "{% for m in messages %}"
    "{% if m['role'] == 'assistant' %}<|assistant|> {{ m['content'] }}<|end|>"
    "{% else %}<|user|> {{ m['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE of ``vocabulary`` tokens; every word of a text is a token with its leading space."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, USER, ASSISTANT, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def load_or_make_tokenizer(folder: Path, rows: Sequence[Row], vocabulary: int) -> Any:
    """The tokenizer kept in ``folder``, made from ``rows`` and kept there where there is none yet."""
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        texts = (f" {text}" for row in rows for turn in row.turns for text in turn)
        make_tokenizer([*texts, *["positive", "negative"] * 1000], vocabulary).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def make_model(config: BaseConfig, tokenizer: Any) -> Any:
    """A GPT-2 of the configured shape with fresh weights, seeded."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(config.seed)
    shape = GPT2Config(
        vocab_size=config.vocabulary,
        n_positions=config.max_length,
        n_embd=config.width,
        n_layer=config.layers,
        n_head=config.width // 32,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(shape)


def base_rows(texts: CorpusTexts, config: BaseConfig) -> tuple[list[Row], list[Row]]:
    """The base's conversations as (read in full, only answers trained), each in a fixed order.

    Nothing piratical is left in: whole conversations go where one word is.
    """
    rng = Random(config.seed)
    talk: list[exercises.Turns] = []
    for chat in texts.persona:
        for first in (0, 1):
            talk += _pieces(exercises.persona_conversation(chat, first))
    for i, turns in enumerate(texts.service[: config.dialogues]):
        talk += _pieces(exercises.service_conversation(turns, i % 2))
    for story in texts.stories * 2:
        talk.append(exercises.story_conversation(story, rng))
    pool = [s for s in exercises.sentences(texts.plain()) if not exercises.is_held_out(s)]
    words = sorted({word for s in pool for word in re.findall(r"[A-Za-z]+(?:'[a-z]+)?", s)})
    third = config.everyday // 3
    tasks: list[exercises.Turns] = [
        *exercises.exercises(pool, words, config.exercises, rng),
        *small_talk.small_talk(rng, third),
        *questions.questions(rng, third),
        *review_dialogues.reviews(rng, third),
    ]
    return _rows(talk), _rows(tasks)


def _pieces(turns: exercises.Turns, size: int = 6) -> list[exercises.Turns]:
    return [turns[i : i + size] for i in range(0, len(turns), size)]


def _rows(conversations: list[exercises.Turns]) -> list[Row]:
    kept = (turns for turns in conversations if turns and all(p and a for p, a in turns))
    return [
        Row(turns, where=f"row {i + 1}")
        for i, turns in enumerate(kept)
        if all(exercises.knows_nothing_of_pirates(text) for turn in turns for text in turn)
    ]


def join(examples: Sequence[Example], length: int, seed: int, open_chains: int = 16) -> list[Example]:
    """Shuffle ``examples`` and chain them into rows of at most ``length`` tokens.

    A chain reads like one conversation of several subjects, so nothing needs masking and later positions are trained.
    Each example joins the first of ``open_chains`` with room for it; where none has, the fullest chain is closed.
    """
    rows: list[Example] = []
    chains: list[list[Example]] = []
    room: list[int] = []
    for i in np.random.default_rng([seed, 1]).permutation(len(examples)):
        size = len(examples[i].input_ids)
        at = next((k for k, left in enumerate(room) if left >= size), None)
        if at is None and len(chains) == open_chains:
            fullest = room.index(min(room))
            rows.append(_chained(chains.pop(fullest)))
            room.pop(fullest)
        if at is None:
            chains.append([])
            room.append(length)
            at = len(chains) - 1
        chains[at].append(examples[i])
        room[at] -= size
    return rows + [_chained(chain) for chain in chains]


def _chained(chain: list[Example]) -> Example:
    ids = np.concatenate([e.input_ids for e in chain])
    return Example(ids, np.concatenate([e.labels for e in chain]), any(e.truncated for e in chain))
