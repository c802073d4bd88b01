"""One side of the comparison as HTML: who speaks, what was said, how fast, and where two sides part."""

from collections.abc import Sequence
from pathlib import PurePath

from demo.view.html import Markup, escaped, joined, one_line, short_digest
from inference.transcript import Divergence, ModelInfo, Reply

ENDINGS = {
    "end": "stopped itself",
    "length": "cut at the length cap",
    "stopped": "stopped by you",
    "time": "cut at the time limit",
}
OWN_KINDS = {"lora": "LoRA", "full": "full model"}
_SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "⍽"})


def byte_size(size_bytes: int) -> str:
    """``41 KB``, ``0.8 MB``, ``1.4 GB``: decimal units, as file managers show them."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= 0.1 * scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{max(1, round(size_bytes / 1000))} KB"


def label(voice: ModelInfo) -> str:
    """Exactly what speaks, as one plain line: ``TUNED pirate/3 · LoRA · 0.8 MB · digest 9f2c31aa… · base ...``."""
    badge, name, details = _label_parts(voice)
    return " · ".join([f"{badge} {name}" if badge != "OpenAI" else f"{badge} · {name}", *details])


def _label_parts(voice: ModelInfo) -> tuple[str, str, list[str]]:
    base = PurePath(voice.base_model).name if voice.base_model.startswith("/") else voice.base_model
    if voice.kind == "base":
        return "BASE", base, [short_digest(voice.base_digest or voice.digest)]
    if voice.kind == "openai":
        return "OpenAI", base, [*([voice.reference] if voice.reference != base else []), "seed: best effort"]
    details = [OWN_KINDS.get(voice.kind, voice.kind), *([byte_size(voice.bytes)] if voice.bytes else [])]
    details += [f"digest {short_digest(voice.digest)}"] if voice.digest else []
    name, _, step = voice.reference.partition(":")
    at_step = [f"checkpoint of step {step}"] if step else []
    return "TUNED", name, [*at_step, *details, f"base {base} {short_digest(voice.base_digest)}".rstrip()]


def stats(reply: Reply) -> str:
    """How an answer came about, on one line: ``first token 0.21 s · 38 tokens/s · 41 tokens · stopped itself``."""
    if reply.ended == "error":
        return f"failed: {one_line(reply.error) or 'no reason given'}"
    count = len(reply.token_ids)
    parts = ["no token came" if reply.first_token_s is None else f"first token {_seconds(reply.first_token_s)}"]
    parts += [f"{reply.tokens_per_s:.0f} tokens/s"] if reply.tokens_per_s else []
    parts += [f"{count} token{'s' * (count != 1)}"] if count else []
    return " · ".join([*parts, ENDINGS.get(reply.ended, reply.ended)])


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def pane(
    voice: ModelInfo,
    name: str,
    turns: Sequence[tuple[str, Reply]],
    *,
    streaming: tuple[str, str] | None = None,
    marked: Markup | None = None,
    blind: bool = False,
) -> Markup:
    """One column: header, the conversation, and how the last answer ended.

    Args:
        voice: what speaks; not used at all in blind mode.
        name: ``Left``, ``Right``, ``Third``, ... : what people call the column.
        turns: finished (prompt, reply) pairs, oldest first.
        streaming: the prompt and the text so far of an answer that still grows.
        marked: the last finished answer as the word diff has it; shown unless one is streaming or the mode is blind.
        blind: show nothing by which the side could be known: no voice, digest, size, speed or reason of ending.
    """
    chat = []
    for at, (prompt, reply) in enumerate(turns):
        last = at == len(turns) - 1 and streaming is None
        text = marked if marked is not None and last and not blind else answer_text(reply)
        chat += [_bubble("user", escaped(prompt)), _bubble("answer", text)]
        if not last:
            chat.append(f'<p class="parley-stats">{_ending(reply, blind)}</p>')
    if streaming is not None:
        chat += [_bubble("user", escaped(streaming[0])), _bubble("answer", joined(escaped(streaming[1]), _CARET))]
    status = _ending(turns[-1][1], blind) if turns and streaming is None else ""
    failed = " parley-failed" if turns and streaming is None and turns[-1][1].ended == "error" else ""
    talk = "".join(chat) or '<p class="parley-hint">Nothing said yet.</p>'
    return Markup(
        f'<section class="parley-pane parley-voice-{"blind" if blind else look(voice)}" aria-label="{escaped(name)}">'
        f"{_header(voice, name, blind)}"
        # the only child of a reversed column stays scrolled to its end while it grows, without a script
        f'<div class="parley-talk" role="log" aria-live="off" aria-busy="{str(streaming is not None).lower()}" '
        f'aria-label="{escaped(name)}: conversation" tabindex="0"><div>{talk}</div></div>'
        f'<p class="parley-stats parley-status{failed}" role="status" aria-live="polite">{status}</p></section>'
    )


_CARET = '<span class="parley-caret" aria-hidden="true"></span>'


def look(voice: ModelInfo) -> str:
    """The end of the class by which the style tells kinds of voices apart: base, tuned or remote."""
    return {"base": "base", "openai": "remote"}.get(voice.kind, "tuned")


def _header(voice: ModelInfo, name: str, blind: bool) -> str:
    if blind:
        return f'<header class="parley-head"><strong class="parley-name">{escaped(name)}</strong></header>'
    return f'<header class="parley-head">{voice_label(voice)}</header>'


def voice_label(voice: ModelInfo) -> Markup:
    """The same as ``label``, with the badge and the name set off; the whole digests stand in the title."""
    badge, name, details = _label_parts(voice)
    digests = " · ".join(
        f"{what} {digest}" for what, digest in (("digest", voice.digest), ("base", voice.base_digest)) if digest
    )
    return Markup(
        f'<span class="parley-badge">{escaped(badge)}</span> <strong class="parley-name">{escaped(name)}</strong> '
        f'<span class="parley-detail" title="{escaped(digests)}">{escaped(" · ".join(details))}</span>'
    )


def _bubble(who: str, text: Markup) -> str:
    speaker = {"user": "You", "answer": "Answer"}[who]
    return f'<div class="parley-{who}" dir="auto"><span class="parley-unseen">{speaker}: </span>{text}</div>'


def answer_text(reply: Reply) -> Markup:
    """The text of an answer, or a word in its place where there is none."""
    if reply.text.strip():
        return escaped(reply.text)
    return Markup(f'<em class="parley-hint">{"no answer" if reply.ended == "error" else "an empty answer"}</em>')


def _ending(reply: Reply, blind: bool) -> Markup:
    if blind:
        return escaped("this side could not answer" if reply.ended == "error" else "finished")
    return escaped(stats(reply))


def row(panes: Sequence[Markup]) -> Markup:
    """Columns side by side, one under the other where the screen is narrow."""
    return Markup(f'<div class="parley-row parley-of-{len(panes)}">{"".join(panes)}</div>')


def visible(token: str) -> str:
    """A token with its blanks made visible; one without any text is ``∅``."""
    return token.translate(_SIGNS) or "∅"


def parting_box(
    parting: Divergence | None, names: tuple[str, str], *, similarity: float | None = None, self_check: bool = False
) -> Markup:
    """Where two answers part, with both sides' likeliest tokens there; or, with None, that they never do.

    Tokens are counted from 1 here, as people count. Never show it while the mode is blind.

    Args:
        parting: of ``names[1]`` from ``names[0]``.
        names: what the two sides are called: ``Left``, ``pirate/3``.
        similarity: share of words in common, of the word diff.
        self_check: the two sides are the same model, so that agreement proves the page right and parting proves a bug.
    """
    words = "" if similarity is None else f'<span class="parley-soft"> · {similarity:.0%} of the words in common</span>'
    if parting is None:
        passed = " (self-check passed)" if self_check else ""
        return Markup(
            '<div class="parley-parting parley-agree"><p class="parley-lead"><span aria-hidden="true">✓ </span>'
            f"same answer, token for token{passed}</p></div>"
        )
    failed = '<span class="parley-bad"> · self-check failed: these two should be one</span>' if self_check else ""
    sides = "".join(_side(names[at], parting.tops[at], parting.chosen[at]) for at in (0, 1))
    return Markup(
        f'<div class="parley-parting"><p class="parley-lead">they part at token {parting.at + 1}: '
        f'<code class="parley-token">{escaped(visible(parting.chosen[0]))}</code> / '
        f'<code class="parley-token">{escaped(visible(parting.chosen[1]))}</code>{words}{failed}</p>'
        f'<div class="parley-sides">{sides}</div></div>'
    )


def _side(name: str, top: Sequence[tuple[str, float]], chosen: str) -> str:
    rows = [_likelihood(token, probability, token == chosen) for token, probability in top]
    if chosen not in [token for token, _ in top]:
        rows.append(_likelihood(chosen, None, True))
    return (
        f'<div class="parley-side"><p class="parley-soft">{escaped(name)}, likeliest there:</p>'
        f'<ol class="parley-top">{"".join(rows)}</ol></div>'
    )


def _likelihood(token: str, probability: float | None, chosen: bool) -> str:
    share = 0.0 if probability is None else min(1.0, max(0.0, probability))
    figure = "rarer" if probability is None else f"{share:.3f}".removeprefix("0")
    mark = '<span class="parley-took">taken</span>' if chosen else ""
    look = "parley-chosen" if chosen else "parley-other"
    return (
        f'<li class="{look}"><code class="parley-token">{escaped(visible(token))}</code>'
        f'<span class="parley-bar" aria-hidden="true"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="parley-figure">{figure}</span>{mark}</li>'
    )
