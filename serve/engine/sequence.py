"""One answer that is being generated: how its tokens are sampled, and when it ends."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from data.chat_format import chat_format
from data.tool_format import tool_format
from inference.batch import BatchRow, positions
from inference.constraints import Constraint, GrammarCompiler, GrammarError
from inference.detokenizer import Detokenizer
from inference.generation import LoadedModel, own_template
from inference.sampling import TokenLogProbs, TokenSampling, log_probs
from inference.tool_calls import ToolCallReader, call_grammar
from serve.engine.text_stream import MIN_LOGPROB, TextStream, readable
from serve.engine.types import AnswerStream, BadRequest, Piece, PromptToken, Request


def settings_of(request: Request, generation_config: Any) -> TokenSampling:
    """How the tokens of ``request`` are sampled; what it leaves open is the model's own ``generation_config``'s."""

    def value(name: str, off: float) -> Any:
        given = getattr(request, name)
        given = getattr(generation_config, name, None) if given is None else given
        return off if given is None else given

    return TokenSampling(
        value("temperature", 1.0),
        value("top_p", 1.0),
        (),
        top_k=value("top_k", 0),
        min_p=value("min_p", 0.0),
        repetition_penalty=value("repetition_penalty", 1.0),
    )


class ActiveSequence:
    """The answer to ``request`` by ``model``; ``row`` is its place in a batch, with the prompt's tokens.

    Raises:
        BadRequest: the prompt leaves no positions for an answer, a biased token does not exist, or the grammar can't
            be used with this model.
    """

    def __init__(
        self,
        request: Request,
        model: LoadedModel,
        row: BatchRow,
        detokenizer: Detokenizer,
        grammars: GrammarCompiler,
    ) -> None:
        limit = positions(row.model)
        left = limit - len(row.prompt)
        if left < (0 if request.max_tokens == 0 else 1):
            takes, it = ("prompt takes", "it") if request.param == "prompt" else ("messages take", "them")
            raise BadRequest(
                f"the {takes} {len(row.prompt)} tokens, and this model has {limit} for the "
                f"{request.param} and the answer: shorten {it}",
                request.param,
                "context_length_exceeded",
            )
        self.request, self.model, self.row = request, model, row
        self.answer = AnswerStream(len(row.prompt))
        self.tokens: list[int] = []  # those of the answer, without the end token
        self._max_tokens = left if request.max_tokens is None else min(left, request.max_tokens)
        self._detokenizer = detokenizer
        if request.prompt is None:
            with own_template(model) as tokenizer:
                with_calls = request.tool_use is not None and bool(request.tool_use.names)
                self._text = TextStream(
                    detokenizer, request.stop, chat_format(tokenizer).thought, keep_control=with_calls
                )
        else:
            self._text = TextStream(detokenizer, request.stop, keep_blanks=True)
            self.answer.prompt_text = request.prompt if isinstance(request.prompt, str) else self._written(row.prompt)
        turn = sum(role == "assistant" for role, _ in request.messages)
        self._seed = (secrets.randbits(63) if request.seed is None else request.seed, turn)  # as for the page's turns
        self._penalized: set[int] = set()
        self._settings = settings_of(request, row.model.generation_config)
        self._bias = self._first_bias()
        self._seen = self._first_seen()
        self._constraint = self._first_constraint(grammars)
        self._failure: BadRequest | None = None

    def _first_bias(self) -> Tensor | None:
        """Values ``[vocabulary]`` to add to the logits: the bias, later also the penalties; None for neither."""
        request = self.request
        if not (request.logit_bias or request.presence_penalty or request.frequency_penalty):
            return None
        weight = self.row.model.get_input_embeddings().weight
        values = torch.zeros(weight.shape[0], device=weight.device)
        for token, bias in request.logit_bias.items():
            if not 0 <= token < len(values):
                raise BadRequest(f"logit_bias: there is no token {token}; this model has 0 to {len(values) - 1}",
                                 "logit_bias")  # fmt: skip
            values[token] = bias
        return values

    def _first_seen(self) -> Tensor | None:
        """Whether each token ``[vocabulary]`` has occurred, of the prompt at first; None without a penalty for that."""
        if self._settings.repetition_penalty == 1:
            return None
        weight = self.row.model.get_input_embeddings().weight
        seen = torch.zeros(weight.shape[0], dtype=torch.bool, device=weight.device)
        seen[torch.tensor(self.row.prompt, device=weight.device)] = True
        return seen

    def _first_constraint(self, grammars: GrammarCompiler) -> Constraint | None:
        grammar, use = self.request.grammar, self.request.tool_use
        if use is not None and use.names:
            with own_template(self.model) as tokenizer:
                found, format_ = tool_format(tokenizer), chat_format(tokenizer)
                control = {token.content: i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
            grammar = call_grammar(found, use, control, grammar)
            self.answer.reader = ToolCallReader(found, format_.control)
        if grammar is None:
            return None
        vocabulary = self.row.model.get_input_embeddings().weight.shape[0]
        try:
            return grammars.constraint(grammar, frozenset(self.row.ends), vocabulary)
        except GrammarError as error:
            raise self._no_grammar(error) from error

    def _no_grammar(self, error: GrammarError) -> BadRequest:
        param = "tools" if self.request.grammar is None else self.request.grammar_param
        return BadRequest(f"{param} can't be enforced: {error}", param)

    def _written(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self._detokenizer.token_bytes, tokens)).decode("utf-8", "replace")

    @property
    def scores_prompt(self) -> bool:
        """Whether the prompt's log-probabilities are wanted."""
        return self.request.prompt_logprobs is not None

    @property
    def is_alone(self) -> bool:
        """Whether its prompt is read in a batch of its own: something of every token of it is wanted."""
        return self.scores_prompt or self.request.embeds

    def score_prompt(self, logits: Tensor) -> None:
        """Append to ``answer.prompt`` what ``logits [1, columns, vocabulary]`` of its next columns predict."""
        known, prompt = self.answer.prompt, self.row.prompt
        if not known:
            known.append(PromptToken(prompt[0], self._token_text(prompt[0])))
        tokens = prompt[len(known) : len(known) + logits.shape[1]]
        if tokens:
            found = log_probs(logits[0, : len(tokens)], tokens, [self.request.prompt_logprobs] * len(tokens))
            known += [self._prompt_token(token, each) for token, each in zip(tokens, found, strict=True) if each]

    def _prompt_token(self, token: int, found: TokenLogProbs) -> PromptToken:
        top = tuple((each, self._token_text(each), max(value, MIN_LOGPROB)) for each, value in found.top)
        return PromptToken(token, self._token_text(token), max(found.logprob, MIN_LOGPROB), top)

    def _token_text(self, token: int) -> str:
        return readable(self._detokenizer.token_bytes(token))

    def add_hidden(self, hidden: Tensor) -> None:
        """Add the last hidden states ``[1, columns, width]`` of its next columns to ``answer.hidden``."""
        total = hidden[0].float().sum(0)
        known = self.answer.hidden
        self.answer.hidden = (total + total.new_tensor(known) if known else total).tolist()

    def sampling(self) -> TokenSampling:
        """How the next token is sampled."""
        seed = (*self._seed, self.answer.completion_tokens)
        return replace(self._settings, seed=seed, bias=self._bias, allowed=self._allowed(), seen=self._seen)

    def _allowed(self) -> Tensor | None:
        if self._constraint is None or self._text.in_thought or self._failure:
            return None
        try:
            return self._constraint.allowed()
        except GrammarError as error:
            self._failure = self._no_grammar(error)  # ``append`` returns it: the other rows of the batch go on
            return None

    def append(self, token: int, scored: TokenLogProbs | None) -> Piece | BadRequest:
        """What ``token`` adds to the answer, ``ended`` is set where it is the last; or why the grammar ended it."""
        if self._failure:
            return self._failure
        if self._max_tokens == 0:
            return self._text.end("length")
        if self.request.keeps_tokens and scored:
            self.answer.sampled.append((token, scored.logprob, tuple(scored.top)))
        if token in self.row.ends:
            return self._text.end("stop")
        self.answer.completion_tokens += 1
        self.tokens.append(token)
        if self._bias is not None:
            self._penalize(token, self._bias)
        if self._seen is not None:
            self._seen[token] = True
        is_complete = self._advance(token)
        piece = self._text.append(token, scored)
        if piece.ended or not (is_complete or self.answer.completion_tokens >= self._max_tokens):
            return self._failure or piece
        last = self._text.end("stop" if is_complete else "length")
        return Piece(piece.text + last.text, piece.tokens + last.tokens, last.ended)

    def _advance(self, token: int) -> bool:
        """Take ``token`` in the grammar; returns whether nothing may follow."""
        if self._constraint is None or self._text.in_thought:
            return False
        try:
            return self._constraint.advance(token)
        except GrammarError as error:
            self._failure = self._no_grammar(error)
            return False

    def _penalize(self, token: int, bias: Tensor) -> None:
        """OpenAI's formula: the frequency penalty at each occurrence of a token, the presence penalty at the first."""
        request = self.request
        bias[token] -= request.frequency_penalty + request.presence_penalty * (token not in self._penalized)
        self._penalized.add(token)
