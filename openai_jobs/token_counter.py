"""Tokens of conversations by a model's own vocabulary where it is installed, else estimated from their characters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from data.chat_template import SPECIAL_TOKENS, pieces, segments
from data.conversation import Row
from data.prompts import CHARACTERS_PER_TOKEN, Counter
from inference.loading import load_tokenizer
from train import base_model

#: Maximum tokens of a training example by the beginning of the model's name; longer ones are truncated silently.
LONGEST = {"gpt-3.5-turbo-0613": 4096, "gpt-3.5": 16385, "gpt-4o": 65536, "gpt-4.1": 65536}
LONGEST_ELSEWHERE = 8192
#: Labels are common words, most of them one token of their own where running text has four characters a token.
LABEL_CHARACTERS = 6
NO_NETWORK = "the vocabulary is not on this machine"
#: Tokens that OpenAI's chat format adds to a message, and to the beginning of the answer.
TOKENS_PER_MESSAGE, TOKENS_PER_ANSWER = 3, 3


def estimated_tokens(row: Row) -> int:
    """Tokens of a conversation without a tokenizer: one per four characters, plus those of the chat format."""
    texts = [text for text in (row.system, *sum(row.turns, ())) if text]
    return sum(-(-len(text) // CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE for text in texts) + TOKENS_PER_ANSWER


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens of conversations and of single texts; ``how`` describes the method.

    ``special_tokens``: strings that no text may hold.
    """

    count: Counter
    count_text: Callable[[str], int]
    how: str
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS


def token_counter(model: str) -> TokenCounter:
    """The model's own vocabulary where tiktoken has it on this machine, else four characters a token."""
    encoding = _encoding(model)
    if encoding is None:
        return TokenCounter(
            estimated_tokens,
            lambda text: max(1, round(len(text) / LABEL_CHARACTERS)),
            "about, by 4 characters a token: no vocabulary here",
        )

    def count_text(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    def count(row: Row) -> int:
        texts = [text for text in (row.system, *sum(row.turns, ())) if text]
        return sum(count_text(text) + TOKENS_PER_MESSAGE for text in texts) + TOKENS_PER_ANSWER

    return TokenCounter(count, count_text, f"by tiktoken's {encoding.name}")


def base_token_counter(name: str) -> TokenCounter:
    """The tokens of the base model ``name``, chat template included: what a server of our own trains on.

    Raises:
        UserError: the base can't be had.
    """
    tokenizer = load_tokenizer(base_model.resolve(name).folder)
    special = tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)

    def count(row: Row) -> int:
        return sum(len(piece) for _, piece in pieces(segments(tokenizer, row.turns, row.system), tokenizer))

    def count_text(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return TokenCounter(count, count_text, f"by {name}'s own", (*SPECIAL_TOKENS, *special))


@lru_cache(4)
def _encoding(model: str) -> Any:
    """tiktoken's encoding for the model if its file is in tiktoken's cache; no download is tried, it could hang."""
    import tiktoken
    import tiktoken.load

    def refuse(blobpath: str) -> bytes:
        raise FileNotFoundError(NO_NETWORK)

    before = tiktoken.load.read_file
    tiktoken.load.read_file = refuse  # it has no switch of its own for this
    try:
        return tiktoken.encoding_for_model(model)
    except (KeyError, OSError, ValueError):
        return None
    finally:
        tiktoken.load.read_file = before


def longest(model: str) -> int:
    """Tokens of the longest example that the model is trained on uncut."""
    plain = model.split(":")[1] if model.startswith("ft:") else model
    named = [name for name in LONGEST if plain.startswith(name)]
    return LONGEST[max(named, key=len)] if named else LONGEST_ELSEWHERE
