"""One side of the comparison as HTML: the model, the conversation, the speed, and where two answers first differ."""

from collections.abc import Sequence
from pathlib import PurePath

from demo.view.html import Markup, escaped, fragment, one_line, short_digest
from inference.observations import RenderedPrompt
from inference.transcript import Divergence, ModelInfo, Reply

ENDINGS = {
    "end": "stopped itself",
    "length": "cut at the length cap",
    "stopped": "stopped by you",
    "time": "cut at the time limit",
}
OWN_KINDS = {"lora": "LoRA", "full": "full model"}
_BLANKS = str.maketrans({" ": "␣", "\n": "⏎", "\r": "⏎", "\t": "⇥", "\u00a0": "⍽"})


def byte_size(size_bytes: int) -> str:
    """``41 KB``, ``0.8 MB``, ``1.4 GB``: decimal units, as file managers show them."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= 0.1 * scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{max(1, round(size_bytes / 1000))} KB"


def label(model: ModelInfo) -> str:
    """Exactly which model answers, as plain text: ``TUNED pirate/3 · LoRA · 0.8 MB · digest 9f2c31aa… · base ...``."""
    badge, name, details = _label_parts(model)
    return " · ".join([f"{badge} {name}" if badge != "OpenAI" else f"{badge} · {name}", *details])


def _label_parts(model: ModelInfo) -> tuple[str, str, list[str]]:
    base = PurePath(model.base_model).name if model.base_model.startswith("/") else model.base_model
    if model.kind == "base":
        return "BASE", base, [short_digest(model.base_digest or model.digest)]
    if model.kind == "openai":
        return "OpenAI", base, [*([model.reference] if model.reference != base else []), "seed: best effort"]
    details = [OWN_KINDS.get(model.kind, model.kind), *([byte_size(model.bytes)] if model.bytes else [])]
    details += [f"digest {short_digest(model.digest)}"] if model.digest else []
    name, _, part = model.reference.partition(":")
    step, _, scale = part.rpartition("x") if "x" in part else (part, "", "")
    at_step = [f"checkpoint of step {step.rstrip(':')}"] if step else []
    at_step += [f"adapter scaled by {scale}"] if scale else []
    return "TUNED", name, [*at_step, *details, f"base {base} {short_digest(model.base_digest)}".rstrip()]


def stats(reply: Reply) -> str:
    """Speed, length and ending of an answer: ``first token 0.21 s · 38 tokens/s · 41 tokens · stopped itself``."""
    if reply.ended == "error":
        return f"failed: {one_line(reply.error) or 'no reason given'}"
    count = len(reply.token_ids)
    parts = ["no tokens" if reply.first_token_s is None else f"first token {_seconds(reply.first_token_s)}"]
    parts += [f"{reply.tokens_per_s:.0f} tokens/s"] if reply.tokens_per_s else []
    parts += [f"{count} token{'s' * (count != 1)}"] if count else []
    return " · ".join([*parts, ENDINGS.get(reply.ended, reply.ended)])


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def pane(
    model: ModelInfo,
    name: str,
    turns: Sequence[tuple[str, Reply]],
    *,
    streaming: tuple[str, str] | None = None,
    marked: Markup | None = None,
    blind: bool = False,
    error: str = "",
    rendered: RenderedPrompt | None = None,
    note: str = "",
) -> Markup:
    """One column: header, the conversation, and how the last answer ended.

    Args:
        model: what answers; not used at all in blind mode.
        name: what the column is called: ``Left``, ``Right``, ``Third``, ...
        turns: finished (prompt, reply) pairs, oldest first.
        streaming: the prompt and the text so far of an answer that is not finished.
        marked: the last finished answer with the word diff's marks; shown unless one is streaming or the mode is blind.
        error: why the model can't answer; it takes the place of an empty conversation.
        rendered: the last prompt as the model read it; not shown in blind mode, templates differ.
        note: what stands after the ending of the last answer.
        blind: show nothing by which the model could be known: no name, digest, size, speed or reason of ending.
    """
    finished = turns[-1][1] if turns and streaming is None else None
    rows = [(prompt, answer_text(reply), _ending(reply, blind)) for prompt, reply in turns]
    if finished:  # the last answer's ending stands under the column
        rows[-1] = (rows[-1][0], rows[-1][1] if marked is None or blind else marked, "")
    return fragment(
        "pane.html",
        style="blind" if blind else kind_class(model),
        name=name,
        heading=_heading(model, name, blind, error),
        error="" if not error else "this side can't answer" if blind else one_line(error),
        turns=rows,
        rendered=None if blind else rendered,
        growing=streaming,
        status=" · ".join(filter(None, [_ending(finished, blind), note])) if finished else "",
        failed=finished is not None and finished.ended == "error",
    )


def _heading(model: ModelInfo, name: str, blind: bool, error: str) -> Markup:
    if blind:
        return Markup('<strong class="parley-name">{}</strong>').format(name)
    if error:
        return fragment("model_label.html", badge="NOT AVAILABLE", name=model.reference, details="", digests="")
    return model_label(model)


def kind_class(model: ModelInfo) -> str:
    """The end of the class by which the style distinguishes kinds of models: base, tuned or remote."""
    return {"base": "base", "openai": "remote", "": "missing"}.get(model.kind, "tuned")


def model_label(model: ModelInfo) -> Markup:
    """``label`` as HTML, with the badge and the name set off; the whole digests stand in the title."""
    badge, name, details = _label_parts(model)
    digests = [f"{what} {digest}" for what, digest in (("digest", model.digest), ("base", model.base_digest)) if digest]
    return fragment(
        "model_label.html", badge=badge, name=name, details=" · ".join(details), digests=" · ".join(digests)
    )


def answer_text(reply: Reply) -> Markup:
    """The text of an answer, or a hint where it is empty."""
    if reply.text.strip():
        return escaped(reply.text)
    hint = "no answer" if reply.ended == "error" else "an empty answer"
    return Markup('<em class="parley-hint">{}</em>').format(hint)


def _ending(reply: Reply, blind: bool) -> str:
    if blind:
        return "this side could not answer" if reply.ended == "error" else "finished"
    return stats(reply)


def row(panes: Sequence[Markup]) -> Markup:
    """Columns side by side, one under the other where the screen is narrow."""
    return Markup('<div class="parley-row parley-of-{}">{}</div>').format(len(panes), Markup("").join(panes))


def visible(token: str) -> str:
    """A token with its blanks made visible; one without any text is ``∅``."""
    return token.translate(_BLANKS) or "∅"


def divergence_box(
    divergence: Divergence | None, names: tuple[str, str], *, similarity: float | None = None, self_check: bool = False
) -> Markup:
    """The first token in which two answers differ, with the most likely tokens of both sides there.

    Tokens are counted from 1 here, as people count. Never show it while the mode is blind.

    Args:
        divergence: of ``names[1]`` from ``names[0]``; None where the answers are equal.
        names: what the two sides are called: ``Left``, ``pirate/3``.
        similarity: share of words in common, of the word diff.
        self_check: the two sides are the same model, so that equal answers pass and different ones prove a bug.
    """
    if divergence is None:
        return fragment("agreement.html", self_check=self_check)
    sides = zip(names, divergence.tops, divergence.chosen, strict=True)
    return fragment(
        "divergence.html",
        number=divergence.at + 1,
        chosen=[visible(token) for token in divergence.chosen],
        similarity=None if similarity is None else f"{similarity:.0%}",
        self_check=self_check,
        sides=[(name, _likelihoods(top, chosen)) for name, top, chosen in sides],
    )


def _likelihoods(top: Sequence[tuple[str, float]], chosen: str) -> list[tuple[str, str, str, bool]]:
    """(token, bar's width in percent, probability, whether it was taken) of a side's most likely tokens.

    A taken token that is not among them comes last, as rarer than they are.
    """
    shares = [(token, min(1.0, max(0.0, probability))) for token, probability in top]
    rows = [
        (visible(token), f"{100 * share:.1f}", f"{share:.3f}".removeprefix("0"), token == chosen)
        for token, share in shares
    ]
    missing = chosen not in [token for token, _ in top]
    return [*rows, (visible(chosen), "0.0", "rarer", True)] if missing else rows
