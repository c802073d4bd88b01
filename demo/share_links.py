"""Share links: what a comparison is made of as a query string, and back."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from demo.limits import RequestLimits, prompt_problem, sampling_problems
from demo.view.html import one_line
from inference.transcript import Sampling

DEFAULT_CAPS = RequestLimits()
PANES = ("left", "right", "third", "fourth", "fifth", "sixth")
#: ``pirate/3``, ``pirate/3:base``, ``pirate/3:24``, ``pirate/3:x1.5``: a name, a version, which weights of it, a scale
REFERENCE = re.compile(
    r"[^/:@\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,120}/[0-9]{1,9}(:(base|[0-9]{1,9}))?(:x-?[0-9](\.[0-9]{1,3})?)?"
)
_WHOLE = re.compile(r"-?[0-9]{1,12}")
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,20})?(e-?[0-9]{1,3})?")
_READERS = {
    "temperature": (_NUMBER, float),
    "top_p": (_NUMBER, float),
    "max_new_tokens": (_WHOLE, int),
    "seed": (_WHOLE, int),
}


@dataclass(frozen=True)
class Shared:
    """What a link asks for.

    ``references``: one a pane from the left, empty where the link names none that could be; ``notes``: what of the link
    could not be used, one line each.
    """

    references: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    prompt: str = ""
    blind: bool = False
    system: str = ""
    notes: tuple[str, ...] = ()


def to_query(references: Sequence[str], sampling: Sampling, prompt: str, blind: bool, system: str = "") -> str:
    """The query string, without its question mark. Defaults are written out: they may change after the link is sent."""
    pairs = [*zip(PANES, references, strict=False)]
    pairs += [(name, repr(getattr(sampling, name))) for name in _READERS]
    pairs += [("prompt", prompt)] if prompt else []
    pairs += [("system", system)] if system else []
    pairs += [("blind", "1")] if blind else []
    return urlencode(pairs, errors="replace")


def from_query(query: Mapping[str, Any], caps: RequestLimits = DEFAULT_CAPS) -> Shared:
    """What a link asks for, as far as it makes sense.

    Unknown keys are ignored; a value that can't be used gives its default and a note.

    Args:
        query: decoded keys and values, as ``request.query_params`` or ``urllib.parse.parse_qs`` have them.
        caps: what settings and prompt are held to.
    """
    given = {key: _first(query[key]) for key in (*PANES, *_READERS, "prompt", "system", "blind") if key in query}
    notes: list[str] = []
    references = tuple(_references(given, caps, notes))
    sampling = _sampling(given, caps, notes)
    prompt, system = (_text(given.get(name, ""), name, caps, notes) for name in ("prompt", "system"))
    return Shared(references, sampling, prompt, given.get("blind") == "1", system, tuple(notes))


def _text(text: str, name: str, caps: RequestLimits, notes: list[str]) -> str:
    """The prompt or the system prompt of a link; empty, with a note, where it can't be used."""
    if len(text) > caps.prompt_chars:
        notes.append(f"the link's {name} was cut at {caps.prompt_chars:,} characters")
        text = text[: caps.prompt_chars]
    problem = prompt_problem(text, caps) if text else ""
    if problem:
        notes.append(f"the link's {name} was left out: {problem}")
    return "" if problem else text


def _first(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    return value if isinstance(value, str) else str(value)[:100]


def _references(given: Mapping[str, str], caps: RequestLimits, notes: list[str]) -> list[str]:
    found = []
    for pane in PANES[: caps.panes]:
        reference = given.get(pane, "")
        fits = REFERENCE.fullmatch(reference)
        found.append(reference if fits else "")
        if reference and not fits:
            notes.append(f"the link's {pane} pane, {one_line(reference, 40)!r}, is no version such as pirate/3")
    while found and not found[-1]:
        found.pop()
    return found


def _sampling(given: Mapping[str, str], caps: RequestLimits, notes: list[str]) -> Sampling:
    """The settings one by one, so that a bad one leaves the others."""
    sampling = Sampling(max_new_tokens=min(Sampling.max_new_tokens, caps.new_tokens))
    for name, (form, read) in _READERS.items():
        text = given.get(name)
        if text is None:
            continue
        problem = f"{one_line(text, 40)!r} is no number"
        if form.fullmatch(text):
            changed = replace(sampling, **{name: read(text)})
            problem = sampling_problems(changed, caps).get(name, "")
            sampling = sampling if problem else changed
        if problem:
            notes.append(f"the link's {name} was left at {getattr(sampling, name)}: {problem}")
    return sampling
