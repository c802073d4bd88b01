"""A transcript as one HTML file that needs nothing else, and back."""

import re
from pathlib import Path

from data.errors import UserError
from demo.view.diff import marked, marked_all
from demo.view.html import Markup, escaped, joined
from demo.view.panes import answer_text, look, parting_box, row, stats, voice_label
from inference.transcript import Exchange, ModelInfo, Transcript, from_json

STYLE = Path(__file__).with_name("style.css")
LARGEST_CHARS = 20_000_000
NAMES = ("Left", "Right", "Third", "Fourth")
_EMBEDDED = re.compile(r'<script type="application/json" id="transcript">(.*?)</script>', re.DOTALL)
#: "<" ends elements and opens comments, the two separators end lines in scripts: JSON can spell each otherwise.
_JSON_SPELLING = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"})


def to_html(transcript: Transcript) -> str:
    """The transcript as a page that asks nothing of the network; the JSON that replays it is inside."""
    json = transcript.to_json().translate(_JSON_SPELLING)
    body = [_heading(transcript), *(_exchange(each, transcript.voices, at) for at, each in _numbered(transcript))]
    return _PAGE.format(style=STYLE.read_text(encoding="utf-8"), body="\n".join(body), json=json)


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


def _numbered(transcript: Transcript) -> list[tuple[int, Exchange]]:
    return list(enumerate(transcript.exchanges, start=1))


def _heading(transcript: Transcript) -> str:
    sampling = transcript.sampling
    settings = {
        "temperature": "0 (greedy)" if sampling.temperature == 0 else f"{sampling.temperature:g}",
        "top_p": f"{sampling.top_p:g}",
        "max_new_tokens": str(sampling.max_new_tokens),
        "seed": f"{sampling.seed}, the same for every side",
    }
    voices = "".join(
        f'<li><span class="parley-soft">{_name(at)}:</span> {voice_label(voice)}</li>'
        for at, voice in enumerate(transcript.voices)
    )
    pairs = "".join(f"<div><dt>{what}</dt><dd>{escaped(which)}</dd></div>" for what, which in settings.items())
    return (
        f'<header><h1>Parley transcript</h1><ul class="parley-voices">{voices}</ul>'
        f'<dl class="parley-settings">{pairs}</dl></header>'
    )


def _name(at: int) -> str:
    return NAMES[at] if at < len(NAMES) else f"Side {at + 1}"


def _exchange(exchange: Exchange, voices: tuple[ModelInfo, ...], number: int) -> str:
    texts = [reply.text for reply in exchange.replies]
    shown = marked_all(texts)
    columns = []
    for at, (reply, text) in enumerate(zip(exchange.replies, shown, strict=True)):
        reference, kind = (voices[at].reference, look(voices[at])) if at < len(voices) else ("", "base")
        words = text if texts[at].strip() else answer_text(reply)
        failed = " parley-failed" if reply.ended == "error" else ""
        columns.append(Markup(
            f'<section class="parley-pane parley-voice-{kind}" aria-label="{_name(at)}"><header class="parley-head">'
            f'<span class="parley-soft">{_name(at)}</span> <strong class="parley-name">{escaped(reference)}</strong>'
            f'</header><div class="parley-answer" dir="auto">{words}</div>'
            f'<p class="parley-stats{failed}">{escaped(stats(reply))}</p></section>'
        ))  # fmt: skip
    return (
        f'<article aria-label="Exchange {number}"><h2>{number}</h2>'
        f'<div class="parley-user" dir="auto"><span class="parley-unseen">You: </span>{escaped(exchange.prompt)}</div>'
        f"{row(columns)}{_partings(exchange)}</article>"
    )


def _partings(exchange: Exchange) -> Markup:
    first = exchange.replies[0].ended if exchange.replies else "error"
    boxes = [
        parting_box(parting, (_name(0), _name(at)), similarity=marked(exchange.replies[0].text, reply.text).similarity)
        for at, (parting, reply) in enumerate(zip(exchange.partings, exchange.replies, strict=False))
        if at > 0 and "error" not in (first, reply.ended)
    ]
    return joined(*boxes)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parley transcript</title>
<style>
{style}</style></head>
<body class="parley-standalone"><main>
{body}
<footer class="parley-replay"><p>Run it again and check it token for token, in the project's folder:</p>
<pre><code>python -m steps.replay FILE</code></pre>
<p class="parley-soft">FILE is this page as it is, or the JSON inside it.</p></footer>
</main>
<script type="application/json" id="transcript">{json}</script>
</body></html>
"""
