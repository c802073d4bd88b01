"""One answer's place in a batch: how its tokens are drawn, and when it has ended."""

import secrets

import torch
from torch import Tensor

from inference.batch import BatchRow, positions
from inference.detokenizer import Detokenizer
from inference.generation import LoadedModel
from inference.sampling import SampledToken
from serve.engine.text_stream import TextStream, TokenProbability
from serve.engine.types import AnswerStream, BadRequest, Piece, Request


class ActiveSequence:
    """The answer to ``request`` by ``speaker``, which reads it as ``line``.

    Raises:
        BadRequest: the prompt leaves no room for an answer, or a biased token does not exist.
    """

    def __init__(self, request: Request, speaker: LoadedModel, line: BatchRow, spelling: Detokenizer):
        left = positions(line.model) - len(line.prompt)
        if left < 1:
            raise BadRequest(
                f"the messages take {len(line.prompt)} tokens, and this model has {positions(line.model)} for the "
                "messages and the answer: shorten them",
                "messages",
                "context_length_exceeded",
            )
        self.request, self.speaker, self.line = request, speaker, line
        self.answer = AnswerStream(len(line.prompt))
        self._most = min(left, request.max_tokens or left)
        self._writer = TextStream(spelling, request.stop)
        turn = sum(role == "assistant" for role, _ in request.messages)
        self._luck = (secrets.randbits(63) if request.seed is None else request.seed, turn)  # as a chat's turn has it
        self.addend = self._addend()

    def _addend(self) -> Tensor | None:
        """What is added to the logits ``[vocabulary]``: the bias, and penalties as tokens come; None for nothing."""
        request = self.request
        if not (request.logit_bias or request.presence_penalty or request.frequency_penalty):
            return None
        weight = self.line.model.get_input_embeddings().weight
        addend = torch.zeros(weight.shape[0], device=weight.device)
        for token, bias in request.logit_bias.items():
            if not 0 <= token < len(addend):
                raise BadRequest(f"logit_bias: there is no token {token}; this model has 0 to {len(addend) - 1}",
                                 "logit_bias")  # fmt: skip
            addend[token] = bias
        self._penalised: set[int] = set()
        return addend

    def draw(self) -> SampledToken:
        """How the next token is drawn."""
        return SampledToken(self.request.temperature, self.request.top_p, (*self._luck, self.answer.completion_tokens))

    def take(self, token: int, chance: TokenProbability | None) -> Piece:
        """What the reader gets for ``token``; ``ended`` is set where it is the last."""
        if token in self.line.ends:
            return self._writer.end("stop")
        self.answer.completion_tokens += 1
        if self.addend is not None:
            self._penalise(token, self.addend)
        piece = self._writer.write(token, chance)
        if piece.ended or self.answer.completion_tokens < self._most:
            return piece
        last = self._writer.end("length")
        return Piece(piece.text + last.text, piece.tokens + last.tokens, last.ended)

    def _penalise(self, token: int, addend: Tensor) -> None:
        """OpenAI's formula: a frequency penalty for each time that a token came, a presence penalty for the first."""
        request = self.request
        addend[token] -= request.frequency_penalty + request.presence_penalty * (token not in self._penalised)
        self._penalised.add(token)
