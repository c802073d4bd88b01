"""From tokens to what may be shown: whole characters, nothing of a stop string, each token with its own bytes."""

import codecs
from collections.abc import Sequence

from inference.detokenizer import Detokenizer
from inference.sampling import TokenLogProbs
from serve.engine.types import Piece, Token

#: ``Token.logprob`` of a token that can't be sampled: JSON has no infinity.
MIN_LOGPROB = -9999.0


class TextStream:
    """The text of one answer as its tokens come.

    Blanks before its first word are the template's and left out, of the tokens there as well, so that the tokens' bytes
    joined are the text; with ``keep_blanks`` they are part of it, and with ``keep_control`` so are control tokens. What
    could become a stop string is held back until it is one, or can't be.

    ``thought``: the texts before and after a thought, where the model may write one. It is held back, and left out once
    it has ended; one that does not end is the answer.
    """

    def __init__(
        self,
        detokenizer: Detokenizer,
        stop: Sequence[str] = (),
        thought: tuple[str, str] | None = None,
        keep_blanks: bool = False,
        keep_control: bool = False,
    ) -> None:
        self._detokenizer = detokenizer
        self._thought = tuple(text.strip().encode() for text in thought) if thought else None
        self._read = b""  # of a thought, control tokens included
        self._stop = [each.encode() for each in stop if each]
        self._held = b""  # not shown yet
        self._tokens: list[tuple[Token, int]] = []  # those not shown whole, with their bytes that are not shown yet
        self._started, self._keep_control = keep_blanks, keep_control
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def append(self, token: int, log_probs: TokenLogProbs | None = None) -> Piece:
        """What can be shown once ``token`` has come; ``ended`` is stop where it completes a stop string."""
        raw = b"" if self._detokenizer.is_control(token) and not self._keep_control else self._shown(token)
        if log_probs:
            self._tokens.append((self._token(token, raw, log_probs), len(raw)))
        self._started = self._started or bool(raw)
        self._held += raw
        if self._thinks(token):
            return Piece("")
        at = min((at for at in (self._held.find(each) for each in self._stop) if at >= 0), default=-1)
        if at >= 0:
            return self._release(at, "stop")
        return self._release(len(self._held) - self._possible_stop())

    def end(self, ended: str) -> Piece:
        """What is left once the answer has ended."""
        return self._release(len(self._held), ended)

    @property
    def in_thought(self) -> bool:
        """Whether the model is in a thought that the prompt opened."""
        return self._thought is not None and not self._thought[0]

    def _thinks(self, token: int) -> bool:
        """Whether ``token`` belongs to a thought; at its end everything that is held is dropped."""
        if self._thought is None:
            return False
        before, after = self._thought
        self._read = (self._read + self._detokenizer.token_bytes(token)).lstrip()
        if after in self._read:
            self._thought, self._held, self._tokens, self._started = None, b"", [], False
            return True
        if self._read[: len(before)] != before[: len(self._read)]:
            self._thought = None  # it answers without one
        return self._thought is not None

    def _shown(self, token: int) -> bytes:
        raw = self._detokenizer.token_bytes(token)
        return raw if self._started else raw.lstrip()

    def _token(self, token: int, raw: bytes, log_probs: TokenLogProbs) -> Token:
        text = self._text_and_bytes(token)[0] if self._detokenizer.is_control(token) else readable(raw)
        top = []
        for each, logprob in log_probs.top:
            its_text, its_bytes = self._text_and_bytes(each)
            top.append((its_text, max(logprob, MIN_LOGPROB), its_bytes))
        return Token(text, max(log_probs.logprob, MIN_LOGPROB), tuple(raw), tuple(top))

    def _text_and_bytes(self, token: int) -> tuple[str, tuple[int, ...]]:
        raw = self._shown(token)
        return readable(raw), tuple(raw)

    def _possible_stop(self) -> int:
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
                done.append(Token(readable(shown), token.logprob, tuple(shown), token.top))
        return Piece(text, tuple(done), ended)


def readable(raw: bytes) -> str:
    """``raw`` as text; bytes that are no whole character as escapes."""
    return raw.decode("utf-8", "backslashreplace")
