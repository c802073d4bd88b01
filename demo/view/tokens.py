"""The tokens of an answer as HTML: coloured by probability or by the difference between two models."""

import json
from collections.abc import Sequence

from demo.view.html import Markup, fragment
from demo.view.panes import visible
from inference.observations import TokenScore, mean_kl

STRONGEST_NATS = 4.0  # a difference from which on the colour is the strongest


def tokens(scores: Sequence[TokenScore], view: str, pane: int, names: tuple[str, str], other: bool = False) -> Markup:
    """Each token in an element of its own, which holds what ``page.js`` shows beside it.

    Args:
        view: ``probability`` (under the model of ``pane``) or ``difference``.
        names: the first model and the one it is compared with.
        other: whether these are the tokens of another text than the pane's answer.
    """
    own = 1 if pane else 0
    shown = [_token(score, view, own, {"pane": pane, "at": at, "other": other, "names": names})
             for at, score in enumerate(scores)]  # fmt: skip
    return fragment("tokens.html", tokens=shown, names=names)


def _token(score: TokenScore, view: str, own: int, place: dict[str, object]) -> dict[str, object]:
    p = 2.718281828459045 ** score.log_probs[own]
    strength = 1 - p if view == "probability" else min(1.0, abs(score.difference) / STRONGEST_NATS)
    kind = "rare" if view == "probability" else "more" if score.difference >= 0 else "less"
    tops = [[[each.token_id, visible(each.text), round(each.probability, 4)] for each in top] for top in score.tops]
    figures = {"text": visible(score.text), "logp": [round(each, 3) for each in score.log_probs]}
    known = {**place, **figures, "difference": round(score.difference, 3), "kl": round(score.kl, 4), "tops": tops}
    return {"text": score.text, "kind": kind, "strength": f"{strength:.2f}", "known": json.dumps(known)}


def footer(scores: Sequence[TokenScore]) -> str:
    """The answer's divergence: mean a token, and the largest, with the token where it is; empty without tokens."""
    if not scores:
        return ""
    most = max(range(len(scores)), key=lambda at: scores[at].kl)
    largest = f"largest {scores[most].kl:.2f} at token {most + 1} {visible(scores[most].text)}"
    return f"KL right from left {mean_kl(tuple(scores)):.3f} nats/token ({largest})"
