"""A comparison of models as plain values: prompts, replies and settings, kept as JSON and replayed later."""

import json
import math
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from data.errors import UserError

FORMAT = "parley-transcript-1"
#: Names of fields in that format, where they are others than here.
JSON_KEYS = {"models": "voices", "divergences": "partings"}


@dataclass(frozen=True)
class Sampling:
    """How tokens are sampled; every pane of a comparison uses the same. ``temperature`` 0 is greedy."""

    temperature: float = 0.7
    top_p: float = 1.0
    max_new_tokens: int = 60
    seed: int = 7


@dataclass(frozen=True)
class ModelInfo:
    """Exactly which model answers in a pane.

    ``reference``: its name, aliases resolved: ``pirate/3``, ``pirate/3:base`` or ``pirate/3:24`` (the
    checkpoint of step 24). ``kind``: base, lora, full or openai. ``digest``: first 16 hex digits of the SHA-256 over
    the weights of its own (the adapter, or the whole model; empty for a remote one). ``bytes``: size of those weights.
    """

    reference: str
    kind: str
    digest: str
    base_model: str
    base_digest: str
    bytes: int


@dataclass(frozen=True)
class Reply:
    """One answer. ``token_ids`` hold the end token where the model ended the answer itself.

    ``ended``: end (the model stopped), length (the cap was reached), stopped (by the user), time (the time limit),
    error. ``first_token_s`` and ``seconds`` count from the sending of the prompt; None where no token came.
    """

    text: str
    token_ids: tuple[int, ...]
    ended: str
    first_token_s: float | None
    seconds: float
    error: str = ""

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second, from the first token on."""
        after = self.seconds - (self.first_token_s or 0)
        return (len(self.token_ids) - 1) / after if len(self.token_ids) > 1 and after > 0 else 0.0


@dataclass(frozen=True)
class Divergence:
    """The first token, counted from 0, at which a pane's answer leaves the first pane's.

    ``tops``: of the first pane and of this one, the five likeliest tokens there as (text, probability), before
    temperature and top_p. ``chosen``: the texts of the tokens that the two took.
    """

    at: int
    chosen: tuple[str, str]
    tops: tuple[tuple[tuple[str, float], ...], tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Exchange:
    """One prompt and each pane's reply; ``divergences[i]`` is that of reply ``i`` from reply 0, None for equal ones.

    ``seed``: its seed where that is another one than the transcript's.
    """

    prompt: str
    replies: tuple[Reply, ...]
    divergences: tuple[Divergence | None, ...]
    seed: int | None = None


@dataclass(frozen=True)
class Transcript:
    """A whole comparison: the model of each pane, the settings, all exchanges, oldest first, and the system prompt."""

    models: tuple[ModelInfo, ...]
    sampling: Sampling
    exchanges: tuple[Exchange, ...] = ()
    system: str = ""

    def sampling_of(self, exchange: Exchange) -> Sampling:
        """The settings with which ``exchange`` was sampled."""
        return self.sampling if exchange.seed is None else replace(self.sampling, seed=exchange.seed)

    def to_json(self) -> str:
        """The transcript as JSON, format name first."""
        return json.dumps({"format": FORMAT, **plain(self)}, indent=1, ensure_ascii=False)


def plain(value: Any) -> Any:
    """``value``, of the types above, as dicts and lists with the keys of the JSON format."""
    if is_dataclass(value):
        later = _later(type(value))
        shown = [each.name for each in fields(value) if getattr(value, each.name) != later.get(each.name, MISSING)]
        return {JSON_KEYS.get(name, name): plain(getattr(value, name)) for name in shown}
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def _later(kind: Any) -> dict[str, Any]:
    """The defaults of fields that came to the format later: written only where they say something else."""
    return {Exchange: {"seed": None}, Transcript: {"system": ""}}.get(kind, {})


def from_json(text: str) -> Transcript:
    """What ``to_json`` wrote.

    Raises:
        UserError: it is no transcript of this format; the message says where it stops being one.
    """
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
            raise ValueError("it does not name that format")
        found = _read(Transcript, raw, "transcript")
        panes = len(found.models)
        for at, exchange in enumerate(found.exchanges):
            if (len(exchange.replies), len(exchange.divergences)) != (panes, panes):
                raise ValueError(f"exchanges[{at}] has not one reply and one parting a voice")
    except RecursionError as error:
        raise UserError(f"this is no transcript of the format {FORMAT}: it is nested too deeply") from error
    except (ValueError, OverflowError) as error:  # broken JSON and text that is no Unicode are ValueErrors, too
        raise UserError(f"this is no transcript of the format {FORMAT}: {error}") from error
    return found


def _read(kind: Any, raw: Any, name: str) -> Any:
    """``raw``, as JSON has it, as a value of the annotated type ``kind``; nothing is converted but int to float."""
    if is_dataclass(kind):
        return _read_record(kind, raw, name)
    if isinstance(kind, UnionType):  # X | None
        return None if raw is None else _read(get_args(kind)[0], raw, name)
    if get_origin(kind) is tuple:
        if not isinstance(raw, list):
            raise ValueError(f"{name} is no list")
        kinds = get_args(kind)
        kinds = [kinds[0]] * len(raw) if kinds[-1] is ... else kinds
        if len(raw) != len(kinds):
            raise ValueError(f"{name} has {len(raw)} entries, not {len(kinds)}")
        return tuple(_read(each, raw[at], f"{name}[{at}]") for at, each in enumerate(kinds))
    if kind is float and type(raw) in (int, float) and math.isfinite(raw):
        return float(raw)
    if kind is float or type(raw) is not kind:
        raise ValueError(f"{name} is no {kind.__name__}")
    if kind is str:
        raw.encode()  # half a character can be written in JSON, but nowhere else
    return raw


def _read_record(kind: Any, raw: Any, name: str) -> Any:
    known = {JSON_KEYS.get(field.name, field.name): field.name for field in fields(kind)}
    if not isinstance(raw, dict) or {*known} - {*_later(kind)} - raw.keys() or raw.keys() - known.keys():
        raise ValueError(f"{name} has not the fields {', '.join(sorted(known))}")
    hints = get_type_hints(kind)
    return kind(**{known[key]: _read(hints[known[key]], raw[key], key) for key in raw})
