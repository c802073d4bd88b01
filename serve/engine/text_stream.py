"""From tokens to what may be shown: whole characters, nothing of a stop string, each token with its own bytes."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from inference.detokenizer import Detokenizer
from serve.engine.types import Piece, Token

#: How ``Token.logprob`` says that a token had no chance at all: JSON has no infinity.
NEVER = -9999.0


@dataclass(frozen=True)
class TokenProbability:
    """The log-probability of the token that was drawn, and of the likeliest ones by token id."""

    logprob: float
    top: Sequence[tuple[int, float]] = ()


class TextStream:
    """The text of one answer as its tokens come.

    Blanks before its first word are the template's and left out, of the tokens there as well, so that the tokens' bytes
    joined are the text. What could become a stop string is held back until it is one, or can't be.
    """

    def __init__(self, spelling: Detokenizer, stop: Sequence[str] = ()):
        self._spelling = spelling
        self._stop = [each.encode() for each in stop if each]
        self._held = b""  # not shown yet
        self._tokens: list[tuple[Token, int]] = []  # those not shown whole, with their bytes that are not shown yet
        self._begun = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, token: int, chance: TokenProbability | None = None) -> Piece:
        """What can be shown once ``token`` has come; ``ended`` is stop where it completes a stop string."""
        raw = b"" if self._spelling.is_control(token) else self._shown(token)
        if chance:
            self._tokens.append((self._token(token, raw, chance), len(raw)))
        self._begun = self._begun or bool(raw)
        self._held += raw
        at = min((at for at in (self._held.find(each) for each in self._stop) if at >= 0), default=-1)
        if at >= 0:
            return self._release(at, "stop")
        return self._release(len(self._held) - self._suspect())

    def end(self, ended: str) -> Piece:
        """What is left once the answer has ended."""
        return self._release(len(self._held), ended)

    def _shown(self, token: int) -> bytes:
        raw = self._spelling.spell(token)
        return raw if self._begun else raw.lstrip()

    def _token(self, token: int, raw: bytes, chance: TokenProbability) -> Token:
        text = self._spelled(token)[0] if self._spelling.is_control(token) else _readable(raw)
        top = []
        for each, logprob in chance.top:
            spelled, its_bytes = self._spelled(each)
            top.append((spelled, max(logprob, NEVER), its_bytes))
        return Token(text, max(chance.logprob, NEVER), tuple(raw), tuple(top))

    def _spelled(self, token: int) -> tuple[str, tuple[int, ...]]:
        raw = self._shown(token)
        return _readable(raw), tuple(raw)

    def _suspect(self) -> int:
        """Length of the longest end of what is held that a stop string begins with."""
        return max((n for each in self._stop for n in range(1, len(each)) if self._held.endswith(each[:n])), default=0)

    def _release(self, count: int, ended: str = "") -> Piece:
        text = self._decoder.decode(self._held[:count], final=bool(ended))
        self._held = self._held[count:]
        done = []
        while self._tokens and self._tokens[0][1] <= count:
            token, size = self._tokens.pop(0)
            count -= size
            done.append(token)
        if self._tokens:
            token, size = self._tokens[0]
            left = size - count
            self._tokens[0] = token, left
            shown = bytes(token.bytes[: len(token.bytes) - left])
            if ended and shown:  # a stop string begins inside of it
                done.append(Token(_readable(shown), token.logprob, tuple(shown), token.top))
        return Piece(text, tuple(done), ended)


def _readable(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
