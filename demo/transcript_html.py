"""A transcript as one HTML file that needs nothing else, and back."""

import re
from collections.abc import Sequence
from pathlib import Path

from data.errors import UserError
from demo.view.diff import marked_all, similarity
from demo.view.html import Markup, fragment
from demo.view.panes import answer_text, divergence_box, kind_class, model_label, stats
from inference.transcript import Exchange, ModelInfo, Sampling, Transcript, from_json

STYLE = Path(__file__).with_name("style.css")
LARGEST_CHARS = 20_000_000
NAMES = ("Left", "Right", "Third", "Fourth", "Fifth", "Sixth")
_EMBEDDED = re.compile(r'<script type="application/json" id="transcript">(.*?)</script>', re.DOTALL)
#: "<" ends elements and opens comments, the two separators end lines in scripts: JSON can escape each.
_JSON_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def to_html(transcript: Transcript) -> str:
    """The transcript as a page that loads nothing over the network; the JSON that replays it is inside."""
    return fragment(
        "transcript.html",
        style=Markup(STYLE.read_text(encoding="utf-8")),
        models=[(_name(at), model_label(model)) for at, model in enumerate(transcript.models)],
        settings=_settings(transcript.sampling),
        exchanges=[_exchange(each, transcript.models) for each in transcript.exchanges],
        json=Markup(transcript.to_json().translate(_JSON_ESCAPES)),
    )


def read(text: str) -> Transcript:
    """The transcript in ``text``: JSON as ``Transcript.to_json`` writes it, or a page that ``to_html`` made.

    Raises:
        UserError: there is none in it.
    """
    if len(text) > LARGEST_CHARS:
        raise UserError(f"this is no transcript: it has {len(text):,} characters, more than {LARGEST_CHARS:,}")
    text = text.removeprefix("\ufeff").lstrip()
    if text.startswith("<"):
        embedded = _EMBEDDED.search(text)
        if embedded is None:
            raise UserError("this HTML file holds no transcript; take one that the page's Transcript button saved")
        text = embedded[1]
    try:
        return from_json(text)
    except RecursionError as error:
        raise UserError("this is no transcript: its JSON is nested too deeply") from error


def _settings(sampling: Sampling) -> list[tuple[str, str]]:
    """(name, value) of each setting as readers see it."""
    return [
        ("temperature", "0 (greedy)" if sampling.temperature == 0 else f"{sampling.temperature:g}"),
        ("top_p", f"{sampling.top_p:g}"),
        ("max_new_tokens", str(sampling.max_new_tokens)),
        ("seed", f"{sampling.seed}, the same for every side"),
    ]


def _name(at: int) -> str:
    return NAMES[at] if at < len(NAMES) else f"Side {at + 1}"


def _exchange(exchange: Exchange, models: Sequence[ModelInfo]) -> dict[str, object]:
    """The values that the template shows of an exchange."""
    marks = marked_all([reply.text for reply in exchange.replies])
    panes = [
        {
            "name": _name(at),
            "reference": models[at].reference if at < len(models) else "",
            "style": kind_class(models[at]) if at < len(models) else "base",
            "text": text if reply.text.strip() else answer_text(reply),
            "failed": reply.ended == "error",
            "stats": stats(reply),
        }
        for at, (reply, text) in enumerate(zip(exchange.replies, marks, strict=True))
    ]
    return {"prompt": exchange.prompt, "panes": panes, "divergences": _divergences(exchange)}


def _divergences(exchange: Exchange) -> list[Markup]:
    """One box for each reply after the first, where neither failed."""
    first, *_ = exchange.replies or (None,)
    return [
        divergence_box(divergence, (_name(0), _name(at)), similarity=similarity(first.text, reply.text))
        for at, (divergence, reply) in enumerate(zip(exchange.divergences, exchange.replies, strict=False))
        if first and at > 0 and "error" not in (first.ended, reply.ended)
    ]
