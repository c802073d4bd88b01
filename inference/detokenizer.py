"""The bytes of each token: an answer's text is these joined, also where a character lies across two tokens."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any


class Detokenizer:
    """The bytes of a tokenizer's tokens, as they read in the middle of a text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {i: token for i, token in tokenizer.added_tokens_decoder.items()}
        self._decode = _decoder_of(tokenizer)
        self._known: dict[int, bytes] = {}

    def is_control(self, token: int) -> bool:
        """Whether ``token`` is one that an answer's text leaves out: an end, a role, padding."""
        return token in self._added and self._added[token].special

    def token_bytes(self, token: int) -> bytes:
        """The bytes of ``token``; a control token's are its name."""
        if token not in self._known:
            self._known[token] = self._find(token)
        return self._known[token]

    def _find(self, token: int) -> bytes:
        if token in self._added:
            return self._added[token].content.encode()
        name = self._tokenizer.convert_ids_to_tokens(token)
        return b"" if name is None else self._decode(name)  # a model can have more rows than its tokenizer has tokens


def _decoder_of(tokenizer: Any) -> Callable[[str], bytes]:
    """A function from a token's name to its bytes, as the tokenizer's decoder has it."""
    decoder = repr(getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None))
    if "ByteLevel" in decoder:
        table = _byte_level()
        return lambda name: b"".join(table.get(character) or character.encode() for character in name)
    if "ByteFallback" in decoder or "Metaspace" in decoder or "\u2581" in decoder:
        return _sentencepiece_bytes

    def decode(name: str) -> bytes:  # alone, the first token of a text can lose a space
        before, both = (tokenizer.convert_tokens_to_string(names) for names in (["a"], ["a", name]))
        return both.removeprefix(before).encode()

    return decode


def _sentencepiece_bytes(name: str) -> bytes:
    """The bytes of a SentencePiece token: a space is a lower block, a byte is written like <0xE2>."""
    byte = re.fullmatch(r"<0x([0-9A-F]{2})>", name)
    return bytes([int(byte[1], 16)]) if byte else name.replace("\u2581", " ").encode()


@cache
def _byte_level() -> dict[str, bytes]:
    """GPT-2's characters for bytes: printable ones as they are, the others moved up by 256, in their order."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1),
                 *range(ord("\u00ae"), ord("\u00ff") + 1)]  # fmt: skip
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): bytes([byte]) for byte in printable} | {
        chr(256 + i): bytes([byte]) for i, byte in enumerate(rest)
    }
