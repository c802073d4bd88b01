"""The fields by which a request says how its text is generated; chat completions and completions share them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from data.errors import first_line
from inference.constraints import choice_grammar, json_grammar, regex_grammar
from serve.errors import RequestError
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT, require_known

MAX_CHOICES = 128
MAX_STOPS = 16  # OpenAI takes 4; evaluation harnesses send more
SMALLEST_TOP_P = 1e-9
#: Fields that are accepted and have no effect.
WITHOUT_EFFECT = ("user", "store", "metadata", "service_tier", "reasoning_effort", "verbosity", "safety_identifier",
                  "prompt_cache_key", "prompt_cache_retention")  # fmt: skip


class StreamOptions(BaseModel):
    """What a stream holds beside the text."""

    include_usage: StrictBool | None = None
    include_obfuscation: StrictBool | None = None


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def limit(value: Any) -> Any:
    """A limit of tokens as it is meant: -1 is none, 5.0 is 5; what is no number unchanged."""
    value = _whole(value)
    return None if value == -1 and not isinstance(value, bool) else value


Number = Annotated[float, BeforeValidator(_number)]
Stops = Annotated[list[StrictStr], Field(max_length=MAX_STOPS)]
TokenId = Annotated[str, Field(pattern=r"^\d{1,9}$")]
#: A whole number; some clients write it as 5.0.
Whole = Annotated[StrictInt, BeforeValidator(_whole)]
#: The most tokens of an answer; -1, which llama.cpp's clients send, is no limit.
MaxTokens = Annotated[Annotated[StrictInt, Field(ge=1, lt=2**31)] | None, BeforeValidator(limit)]


#: What makes a grammar of the value of each kind of structured output.
GRAMMARS: Mapping[str, Callable[[Any], str]] = {
    "json": json_grammar,
    "regex": regex_grammar,
    "choice": choice_grammar,
}


def randomness(temperature: float | None, top_p: float | None) -> dict[str, Any]:
    """``temperature`` and ``top_p`` of the engine's request; where either is 0, decoding is greedy."""
    if temperature == 0 or top_p == 0:
        return {"temperature": 0.0, "top_p": 1.0}
    return {"temperature": temperature, "top_p": top_p and max(top_p, SMALLEST_TOP_P)}


class StructuredOutputs(BaseModel):
    """vLLM's form of an answer: one of a JSON schema, a regular expression, and texts to choose from."""

    model_config = ConfigDict(extra="forbid")

    json_schema: Annotated[dict[str, Any] | StrictStr | None, Field(alias="json")] = None
    regex: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    choice: Annotated[list[StrictStr], Field(min_length=1, max_length=1000)] | None = None


class SamplingRequest(BaseModel):
    """How text is generated: OpenAI's fields, then vLLM's. ``logit_bias`` is by the model's own token ids."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[StrictStr, Field(min_length=1, max_length=400)]
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    n: Annotated[Whole, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[Stops, ELSE], BY_KIND] | None = None
    seed: Annotated[Whole, Field(ge=-(2**63), lt=2**63)] | None = None
    logit_bias: Annotated[dict[TokenId, Annotated[Number, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = (
        None
    )
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    top_k: Annotated[Whole, Field(ge=-1, lt=2**31)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0, le=2)] | None = None
    stop_token_ids: Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=64)] | None = None
    ignore_eos: StrictBool | None = None
    prompt_logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    guided_json: dict[str, Any] | StrictStr | None = None
    guided_regex: Annotated[StrictStr, Field(max_length=10_000)] | None = None
    guided_choice: Annotated[list[StrictStr], Field(min_length=1, max_length=1000)] | None = None
    structured_outputs: StructuredOutputs | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None

    @property
    def choices(self) -> int:
        """How many answers are generated."""
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, not supported, or needs another one; ``param`` names it.
        """
        require_known(self, WITHOUT_EFFECT)
        if self.stream_options and not self.stream:
            raise RequestError("stream_options needs stream to be true", param="stream_options")
        if "" in self.stops:
            raise RequestError("stop must not hold an empty text", param="stop")
        if self.prompt_logprobs is not None and self.stream:
            raise RequestError("prompt_logprobs can't be streamed", param="prompt_logprobs")
        self.form()

    def form(self) -> tuple[str | None, str]:
        """(the grammar that the answer has to fit or None, the field that asks for it).

        Raises:
            RequestError: several fields do, or one can't be used.
        """
        nested = self.structured_outputs or StructuredOutputs()
        given = [
            (name, kind, value)
            for name, kind, value in (
                ("guided_json", "json", self.guided_json),
                ("guided_regex", "regex", self.guided_regex),
                ("guided_choice", "choice", self.guided_choice),
                ("structured_outputs", "json", nested.json_schema),
                ("structured_outputs", "regex", nested.regex),
                ("structured_outputs", "choice", nested.choice),
            )
            if value is not None
        ]
        if len(given) > 1:
            raise RequestError(f"keep one of {given[0][0]} and {given[1][0]}", param=given[1][0])
        if not given:
            return None, "response_format"
        name, kind, value = given[0]
        try:
            return GRAMMARS[kind](json.loads(value) if kind == "json" and isinstance(value, str) else value), name
        except Exception as error:  # what is no JSON, no regular expression, or can't be enforced
            raise RequestError(f"Invalid value for '{name}': {first_line(error)}", param=name) from error

    def sampling(self, choice: int) -> dict[str, Any]:
        """The fields of the engine's request that say how ``choice`` is sampled; each choice has a seed of its own."""
        grammar, grammar_param = self.form()
        return {
            **randomness(self.temperature, self.top_p),
            "top_k": self.top_k and max(self.top_k, 0),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "stop_token_ids": frozenset(self.stop_token_ids or ()),
            "ignore_eos": bool(self.ignore_eos),
            "grammar": grammar,
            "grammar_param": grammar_param,
            "seed": self._seed(choice),
            "stop": self.stops,
            "logit_bias": {int(token): bias for token, bias in (self.logit_bias or {}).items()},
            "presence_penalty": self.presence_penalty or 0.0,
            "frequency_penalty": self.frequency_penalty or 0.0,
        }

    def _seed(self, choice: int) -> int | None:
        if self.seed is None:
            return None
        if choice == 0:
            return self.seed % 2**63
        return int.from_bytes(hashlib.sha256(f"{self.seed} {choice}".encode()).digest()[:8]) % 2**63
