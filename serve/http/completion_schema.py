"""The request of a completion: OpenAI's fields, checked; a prompt is continued as it is, without a chat template."""

from typing import Annotated

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.answers import estimate_tokens
from serve.http.sampling_schema import SamplingRequest, Whole, limit
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT

MAX_PROMPTS = 256
MAX_ANSWERS = 1024  # of all prompts together
DEFAULT_MAX_TOKENS = 16  # OpenAI's

TokenIds = Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=1_000_000)]


def as_list(prompt: object) -> object:
    """One prompt as a list of one; token ids are one prompt."""
    if prompt is None:
        return [""]
    is_one = isinstance(prompt, str) or (isinstance(prompt, list) and any(isinstance(each, int) for each in prompt))
    return [prompt] if is_one else prompt


class CompletionRequest(SamplingRequest):
    """A completion."""

    prompt: Annotated[
        list[Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[TokenIds, ELSE], BY_KIND]],
        Field(min_length=1, max_length=MAX_PROMPTS),
        BeforeValidator(as_list),
    ]
    max_tokens: Annotated[Annotated[StrictInt, Field(ge=0, lt=2**31)] | None, BeforeValidator(limit)] = (
        DEFAULT_MAX_TOKENS
    )
    echo: StrictBool | None = None
    logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    suffix: StrictStr | None = None
    best_of: Whole | None = None

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, not supported, or needs another one; ``param`` names it.
        """
        super().require_supported()
        if self.suffix:
            raise RequestError(
                "suffix is not supported: these models continue a prompt and do not fill a gap", param="suffix"
            )
        if self.best_of not in (None, self.choices):
            raise RequestError("best_of is not supported: ask for n choices and compare them", param="best_of")
        if len(self.prompt) * self.choices > MAX_ANSWERS:
            raise RequestError(
                f"{len(self.prompt)} prompts with n={self.choices} are more than {MAX_ANSWERS} choices", param="n"
            )
        if self.max_tokens == 0 and not self.echo:
            raise RequestError("max_tokens 0 needs echo to be true", param="max_tokens")

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized: prompts and answers."""
        characters = sum(len(each) if isinstance(each, str) else 4 * len(each) for each in self.prompt)
        return estimate_tokens(characters, len(self.prompt) * self.choices, self.max_tokens)

    def requests(self, reference: str) -> list[Request]:
        """The engine's requests: for each prompt one for each choice; ``reference`` names the model."""
        wanted = [each for each in (self.logprobs if self.echo else None, self.prompt_logprobs) if each is not None]
        return [
            Request(
                reference,
                (),
                max_tokens=self.max_tokens,
                prompt=each if isinstance(each, str) else tuple(each),
                top_logprobs=self.logprobs,
                prompt_logprobs=max(wanted) if wanted else None,
                **self.sampling(choice),
            )
            for each in self.prompt
            for choice in range(self.choices)
        ]
