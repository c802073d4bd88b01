"""The limits of the page and the checks of one request."""

from dataclasses import dataclass, fields

from data.errors import ConfigError, UserError
from inference.transcript import Sampling

HIGHEST_TEMPERATURE = 2.0
HIGHEST_SEED = 2**31 - 1
_LINE_SIGNS = "\t\n\r"


@dataclass(frozen=True)
class RequestLimits:
    """The most that one request, one conversation and all visitors together may take. All are at least 1."""

    prompt_chars: int = 2000
    """Characters of one prompt."""
    turns: int = 12
    """Prompts of one conversation."""
    new_tokens: int = 200
    """Tokens of one answer, the highest ``max_new_tokens``."""
    seconds: int = 60
    """Wall clock of one request, all panes together."""
    panes: int = 6
    """Models side by side."""
    queue: int = 16
    """Requests that wait at once; the next one is refused."""
    tokens_per_minute: int = 20_000
    """Tokens that all visitors together may generate in a minute."""

    def __post_init__(self) -> None:
        for field in fields(RequestLimits):  # not those of a config that has more
            value = getattr(self, field.name)
            if not _is_whole(value) or value < 1:
                raise ConfigError(f"{field.name} must be a whole number, at least 1, not {value!r}")

    def lines(self) -> list[str]:
        """The limits as text, one a line, as they are printed for a shared page."""
        return [
            f"a prompt: at most {self.prompt_chars:,} characters",
            f"a conversation: at most {self.turns} prompts, {self.panes} panes side by side",
            f"an answer: at most {self.new_tokens} tokens and {self.seconds} seconds",
            f"everyone together: {self.tokens_per_minute:,} tokens a minute, {self.queue} requests waiting at once",
        ]


def check_request(prompt: object, turns: int, panes: int, sampling: Sampling, caps: RequestLimits) -> None:
    """Check what arrived at the server, whatever the page's own fields allow.

    Args:
        prompt: the text of the prompt.
        turns: prompts of this conversation, this one counted.
        panes: models that are to answer.
        sampling: the settings as they arrived.
        caps: the caps in force.

    Raises:
        UserError: one line that names what is wrong.
    """
    if turns > caps.turns:
        raise UserError(f"this conversation has its {caps.turns} prompts; start a new one")
    if not 1 <= panes <= caps.panes:
        raise UserError(f"{panes} panes were asked for; it must be 1 to {caps.panes}")
    for problem in (prompt_problem(prompt, caps), *sampling_problems(sampling, caps).values()):
        if problem:
            raise UserError(problem)


def prompt_problem(prompt: object, caps: RequestLimits) -> str:
    """What is wrong with a prompt, or nothing."""
    if not isinstance(prompt, str):
        return "the prompt must be text"
    if len(prompt) > caps.prompt_chars:
        return f"the prompt has {len(prompt):,} characters; at most {caps.prompt_chars:,} are taken"
    for sign in prompt:
        code = ord(sign)
        if (code < 32 and sign not in _LINE_SIGNS) or 127 <= code < 160 or 0xD800 <= code <= 0xDFFF:
            return f"the prompt holds a character that is no text (U+{code:04X}); take it out"
    if not any(sign.isprintable() and not sign.isspace() for sign in prompt):
        return "the prompt is blank; type something"
    return ""


def sampling_problems(
    sampling: Sampling, caps: RequestLimits, temperature: float = HIGHEST_TEMPERATURE
) -> dict[str, str]:
    """What is wrong with the settings, by the setting's name; nothing where all are good.

    ``temperature``: the highest that is taken.
    """
    ranges = {
        "temperature": (0, temperature, _is_number),
        "top_p": (0, 1, _is_number),
        "max_new_tokens": (1, caps.new_tokens, _is_whole),
        "seed": (0, HIGHEST_SEED, _is_whole),
    }
    problems = {}
    for name, (low, high, fits) in ranges.items():
        value = getattr(sampling, name)
        if not fits(value) or not low <= value <= high:  # which NaN fails too
            kind = "whole number" if fits is _is_whole else "number"
            problems[name] = f"{name} must be a {kind} from {low:g} to {_figure(high)}, not {_short(value)}"
    return problems


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _figure(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _short(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 10**20:  # Python refuses to spell the longest ones
        return "a number that long"
    return repr(value)[:40]
