"""Tiny models with random weights, a tiny tokenizer, and a tracker that keeps what it is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data import pirate
from train.encoding import IGNORE, Example

END = "<|endoftext|>"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A GPT-2-like tokenizer of 400 tokens, without a pad token or a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    texts = [text for row in pirate.named_rows("clean") for turn in row.turns for text in turn]
    bpe.train_from_iterator(texts + ["User: \nAssistant:"] * 50, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=END, eos_token=END)


@pytest.fixture(scope="session")
def gpt2() -> Callable[..., Any]:
    """Makes a GPT-2 of two layers; the same seed gives the same weights. ``dropout`` is that of the model itself."""

    def make(vocabulary: int = 61, width: int = 32, dropout: float = 0.0, seed: int = 0, **shape: Any) -> Any:
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(seed)
        drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
        shape = {"n_layer": 2, "n_head": 2, "n_positions": 128, "bos_token_id": 0, "eos_token_id": 0, **shape}
        return GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=width, **shape, **drops))

    return make


@pytest.fixture(scope="session")
def llama() -> Callable[..., Any]:
    """Makes a Llama of two layers, head and embedding apart; the same seed gives the same weights."""

    def make(vocabulary: int = 61, seed: int = 0, **shape: Any) -> Any:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        shape = {"max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0, **shape}
        size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
        return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, num_key_value_heads=2, **size, **shape))

    return make


@pytest.fixture(scope="session")
def model_folder(gpt2, tokenizer, tmp_path_factory) -> Path:
    """A base model in Hugging Face's layout: config, weights, tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    gpt2(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def examples() -> Callable[..., list[Example]]:
    """Makes ``n`` tokenised rows of different lengths: random tokens, never 0, the last half of them trained.

    Up to ``vocabulary - 1`` rows begin with different tokens.
    """

    def make(n: int, seed: int = 0, vocabulary: int = 61) -> list[Example]:
        rng = np.random.default_rng(seed)
        made = []
        for i in range(n):
            size = 6 + i % 5
            ids = rng.integers(1, vocabulary, size).astype(np.int32)
            ids[0] = 1 + i % (vocabulary - 1)  # rows that begin alike may share their beginning when they are packed
            made.append(Example(ids, np.where(np.arange(size) < size // 2, IGNORE, ids).astype(np.int32)))
        return made

    return make


class Notebook:
    """A tracker that keeps everything in memory, and is killed where it is told to be.

    ``events`` counts the calls of ``log`` and ``flush`` together; call number ``killed_at`` (from 1) raises
    ``KeyboardInterrupt``, as a signal would.
    """

    def __init__(self, killed_at: int = 0):
        self.points: list[tuple[int, dict[str, float]]] = []
        self.events = 0
        self.killed_at = killed_at

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._event()
        self.points.append((step, dict(metrics)))

    def flush(self) -> None:
        self._event()

    def _event(self) -> None:
        self.events += 1
        if self.events == self.killed_at:
            raise KeyboardInterrupt

    def values(self, key: str) -> dict[int, float]:
        """The values of one metric by step."""
        return {step: metrics[key] for step, metrics in self.points if key in metrics}


@pytest.fixture
def notebook() -> type[Notebook]:
    return Notebook
