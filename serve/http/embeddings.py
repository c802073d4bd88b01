"""Embeddings: the mean of a model's last hidden states over the tokens of a text, of length 1."""

import base64
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

from serve.engine.types import AnswerStream, Request
from serve.errors import RequestError
from serve.http.answers import ChatEngine, begin_answers, collect_all, estimate_tokens
from serve.http.completion_schema import TokenIds, as_list
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT, require_known

MAX_INPUTS = 2048
#: Fields that are accepted and have no effect.
WITHOUT_EFFECT = ("user",)


class EmbeddingRequest(BaseModel):
    """Embeddings of texts, or of token ids of the model's own tokenizer."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[StrictStr, Field(min_length=1, max_length=400)]
    input: Annotated[
        list[Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[TokenIds, ELSE], BY_KIND]],
        Field(min_length=1, max_length=MAX_INPUTS),
        BeforeValidator(as_list),
    ]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = None

    @property
    def stream(self) -> bool | None:
        """Embeddings are no stream."""
        return False

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, or an input is empty; ``param`` names it.
        """
        require_known(self, WITHOUT_EFFECT)
        if not all(self.input):
            raise RequestError("input must not hold an empty text", param="input")

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized."""
        return estimate_tokens(sum(len(each) if isinstance(each, str) else 4 * len(each) for each in self.input), 0, 0)

    def requests(self, reference: str) -> list[Request]:
        """The engine's requests, one for each input; ``reference`` names the model."""
        prompts = [each if isinstance(each, str) else tuple(each) for each in self.input]
        return [Request(reference, (), max_tokens=0, prompt=each, embeds=True) for each in prompts]


@dataclass
class Embeddings:
    """Embeddings that are being computed."""

    request: EmbeddingRequest
    answers: list[AnswerStream]

    @property
    def tokens(self) -> int:
        """Tokens of all inputs."""
        return sum(answer.prompt_tokens for answer in self.answers)

    def events(self) -> AsyncGenerator[str, None]:
        """Embeddings are no stream."""
        raise NotImplementedError

    async def complete(self) -> dict[str, Any]:
        """Wait for all; returns OpenAI's list of ``embedding`` objects.

        Raises:
            RequestError: ``dimensions`` are more than the model has, or the model failed.
        """
        await collect_all(self.answers, self.request.model)
        data = [
            {"object": "embedding", "index": index, "embedding": self._written(np.array(answer.hidden, np.float32))}
            for index, answer in enumerate(self.answers)
        ]
        usage = {"prompt_tokens": self.tokens, "total_tokens": self.tokens}
        return {"object": "list", "data": data, "model": self.request.model, "usage": usage}

    def _written(self, hidden: np.ndarray) -> list[float] | str:
        """The embedding ``[width]`` of summed hidden states, cut to ``dimensions``, in the wanted form."""
        wanted = self.request.dimensions or len(hidden)
        if wanted > len(hidden):
            raise RequestError(f"dimensions is {wanted}, and this model has {len(hidden)}", param="dimensions")
        found = hidden[:wanted] / max(float(np.linalg.norm(hidden[:wanted])), 1e-12)
        if self.request.encoding_format == "base64":
            return base64.b64encode(found.astype("<f4").tobytes()).decode()
        return found.tolist()


async def begin(engine: ChatEngine, request: EmbeddingRequest, reference: str) -> Embeddings:
    """Begin to compute; ``reference`` is the engine's name of the model.

    Raises:
        RequestError: the model is not there, or can't read one of the inputs.
    """
    try:
        return Embeddings(request, await begin_answers(engine, request.requests(reference), request.model))
    except RequestError as error:
        error.param = "input" if error.param == "prompt" else error.param
        raise
