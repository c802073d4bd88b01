"""Requests of Tinker's API in JSON; a field that is not supported is refused by name."""

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from serve.errors import RequestError
from serve.http.schemas import Name, Text
from train.stepwise import AdamSettings

Number = Annotated[StrictInt, Field(ge=0, lt=2**62)]
TokenIds = Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=1_000_000)]
MAX_SAMPLES = 128


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    type: Text = ""


class SessionRequest(_Request):
    """``create_session``; tags, metadata and names are for Tinker's console, and not kept."""

    tags: list[Text] = []
    user_metadata: dict[str, Any] | None = None
    sdk_version: Text = ""
    project_id: Text | None = None
    display_name: Text | None = None


class HeartbeatRequest(_Request):
    """``session_heartbeat``."""

    session_id: Name


class OptimizerRequest(BaseModel):
    """Which optimizer a model has."""

    model_config = ConfigDict(extra="forbid")

    type: Text = "adamw"

    def require_supported(self) -> None:
        """Raise ``RequestError`` for another optimizer than AdamW."""
        if self.type != "adamw":
            raise RequestError(f"optimizer_config: {self.type} is not supported; adamw is", param="optimizer_config")


class LoraRequest(BaseModel):
    """``lora_config``; ``train_unembed`` is not used: adapters leave the unembedding as it is."""

    model_config = ConfigDict(extra="forbid")

    rank: StrictInt = 32
    seed: StrictInt | None = None
    train_unembed: StrictBool = True
    train_mlp: StrictBool = True
    train_attn: StrictBool = True

    def fields(self) -> dict[str, Any]:
        """Settings of a new adapter; without a ``seed`` one is drawn."""
        seed = secrets.randbelow(2**31) if self.seed is None else self.seed
        return {"rank": self.rank, "seed": seed, "train_mlp": self.train_mlp, "train_attn": self.train_attn}


class ModelRequest(_Request):
    """``create_model``."""

    session_id: Name
    model_seq_id: Number
    base_model: Name
    user_metadata: dict[str, Any] | None = None
    lora_config: LoraRequest | None = None
    optimizer_config: OptimizerRequest = OptimizerRequest()


class InfoRequest(_Request):
    """``get_info``."""

    model_id: Name


class AdamRequest(BaseModel):
    """Settings of one step of AdamW."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    learning_rate: Annotated[float, Field(ge=0)] = 1e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    eps: Annotated[float, Field(ge=0)] = 1e-12
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    grad_clip_norm: float = 0.0

    def settings(self) -> AdamSettings:
        """They as the trainer takes them."""
        clip = max(0.0, self.grad_clip_norm)
        return AdamSettings(self.learning_rate, self.beta1, self.beta2, self.eps, self.weight_decay, clip)


class StepRequest(_Request):
    """``optim_step``; ``optimizer_params`` are those of other optimizers than AdamW."""

    model_id: Name
    seq_id: Number | None = None
    adam_params: AdamRequest | None = None
    optimizer_params: dict[str, Any] | None = None


class SaveRequest(_Request):
    """``save_weights`` and ``save_weights_for_sampler``; without a ``path`` a sampler of a snapshot is made."""

    model_id: Name
    seq_id: Number | None = None
    path: Text | None = None
    ttl_seconds: StrictInt | None = None
    overwrite: StrictBool = False
    user_metadata: dict[Text, Text] | None = None
    sampling_session_seq_id: Number | None = None
    kind: Literal["snapshot", "inflight"] = "snapshot"

    def require_supported(self) -> None:
        """Raise ``RequestError`` for what is not supported; ``param`` names it."""
        if self.ttl_seconds is not None:
            message = "ttl_seconds is not supported: versions are kept until they are deleted from the registry"
            raise RequestError(message, param="ttl_seconds")
        if self.kind != "snapshot":
            raise RequestError("kind=inflight is not supported; take kind=snapshot", param="kind")


class LoadRequest(_Request):
    """``load_weights``: into a model, or as a new model of a session."""

    path: Name
    optimizer: StrictBool
    model_id: Name | None = None
    seq_id: Number | None = None
    session_id: Name | None = None
    model_seq_id: Number | None = None
    base_model: Name | None = None
    user_metadata: dict[str, Any] | None = None
    optimizer_config: OptimizerRequest | None = None
    weights_access_token: Text | None = None

    def require_supported(self) -> None:
        """Raise ``RequestError`` for what is not supported; ``param`` names it."""
        for name in ("base_model", "weights_access_token"):
            if getattr(self, name) is not None:
                raise RequestError(f"{name} is not supported with load_weights; leave it out", param=name)
        if self.optimizer_config:
            self.optimizer_config.require_supported()


class SamplerRequest(_Request):
    """``create_sampling_session``."""

    session_id: Name
    sampling_session_seq_id: Number
    base_model: Name | None = None
    model_path: Name | None = None


class EncodedText(BaseModel):
    """Token ids of a prompt."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["encoded_text"]
    tokens: TokenIds


class ModelInput(BaseModel):
    """A prompt."""

    model_config = ConfigDict(extra="forbid")

    chunks: Annotated[list[EncodedText], Field(max_length=10_000)]


class SamplingParams(BaseModel):
    """How tokens are sampled. ``stop``: texts or token ids, beside the model's own; an empty list is no end at all."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    max_tokens: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Text | list[Text] | TokenIds | None = None
    temperature: float = 1.0
    top_k: Annotated[StrictInt, Field(ge=-1, lt=2**31)] = -1
    top_p: float = 1.0


class SampleRequest(_Request):
    """``asample``."""

    sampling_session_id: Name
    seq_id: Number
    prompt: ModelInput
    sampling_params: SamplingParams
    num_samples: Annotated[StrictInt, Field(ge=1, le=MAX_SAMPLES)] = 1
    prompt_logprobs: StrictBool | None = None
    prompt_logprobs_last_n: Annotated[StrictInt, Field(ge=1)] | None = None
    topk_prompt_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] = 0
    topk_sample_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] = 0
    target_prompt_logprobs: Any = None
    prompt_alt_tokens_k: StrictInt = 0
    record_stability_info: StrictBool | None = None

    def require_supported(self) -> None:
        """Raise ``RequestError`` for what is not supported; ``param`` names it."""
        for name in ("target_prompt_logprobs", "prompt_alt_tokens_k", "record_stability_info"):
            if getattr(self, name):
                raise RequestError(f"{name} is not supported", param=name)

    @property
    def tokens(self) -> tuple[int, ...]:
        """The prompt's tokens."""
        return tuple(token for chunk in self.prompt.chunks for token in chunk.tokens)


class FutureRequest(_Request):
    """``retrieve_future`` and ``cancel_future``."""

    request_id: Name
    allow_metadata_only: StrictBool = False


class WeightsInfoRequest(_Request):
    """``weights_info``."""

    tinker_path: Name
