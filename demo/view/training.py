"""Trainings as HTML: what a check of the rows found, and how far a training is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from demo.view.charts import loss_curve
from demo.view.details import badge, number
from demo.view.html import Markup, fragment, one_line, without_folders
from demo.view.panes import byte_size

if TYPE_CHECKING:
    from demo.training import Training
    from demo.training_progress import Progress

#: state of a training -> tone and mark, as of verdicts
STATES = {
    "running": ("plain", "▶"),
    "elsewhere": ("plain", "▶"),
    "interrupted": ("doubt", "!"),
    "stopped": ("doubt", "■"),
    "failed": ("bad", "✕"),
    "finished": ("good", "✓"),
}
#: Lines of a recipe's description that a page needs; claims have a page of their own.
LINES = ("Base", "Rows", "Tokens", "Note", "Warning")
MOST_SAMPLE_STEPS = 8


def checked(events: Sequence[dict[str, Any]], is_done: bool) -> Markup:
    """What a preview has found so far.

    Args:
        events: those of ``recipes.preview``.
        is_done: whether no more will come.
    """
    by_kind = {event["kind"]: event for event in events}
    rows, mask, estimate = (by_kind.get(kind) for kind in ("rows", "mask", "estimate"))
    return fragment(
        "training_check.html",
        problems=by_kind.get("problems"),
        lines=_lines(rows["lines"]) if rows else (),
        mask=mask,
        estimate=estimate and _estimate(estimate),
        waiting="" if is_done else _waiting(by_kind),
    )


def _waiting(found: dict[str, Any]) -> str:
    return "reading the rows" if "rows" not in found else "timing a few steps"


def _lines(lines: Sequence[str]) -> list[tuple[str, str]]:
    """(name, text) of the lines that a page shows; a line without a known name stands alone."""
    found = []
    for line in lines:
        name, _, text = line.partition(" ")
        if name in LINES:
            found.append((name, without_folders(text.strip())))
        elif name and name not in ("Claims",):
            found.append(("", without_folders(line)))
    return found


def _estimate(found: dict[str, Any]) -> dict[str, str]:
    return {
        "time": duration(found["train_s"]),
        "memory": byte_size(found["memory_bytes"]),
        "steps": f"{found['steps']:,}",
        "step": f"{found['step_s']:.2g} s",
        "measured": str(found["measured"]),
        "parameters": f"{found['parameters'] / 1e6:,.1f} million",
    }


def duration(seconds: float) -> str:
    """``35 s``, ``2 min 10 s``, ``1 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(1, whole)} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 and rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def live(training: "Training", progress: "Progress") -> Markup:
    """One training: its state, how far it is, its loss curve and its answers to the sample prompts by step."""
    record, tone = training.record, STATES[training.state]
    verdict = record.tags.get("verdict", "")
    facts = [
        ("data", without_folders(record.data)),
        ("start", record.tags.get("start") or record.tags.get("base_name", "")),
        ("step", f"{progress.step:,}" if progress.step else ""),
        ("epoch", f"{progress.epoch:.2f} of {progress.epochs:g}" if progress.epochs and progress.epoch else ""),
        ("training loss", number(progress.train_loss[-1].value) if progress.train_loss else ""),
        ("validation loss", number(progress.eval_loss[-1].value) if progress.eval_loss else ""),
        ("trained tokens/s", f"{progress.tokens_per_s:,.0f}" if progress.tokens_per_s else ""),
        ("time left", duration(progress.left_s) if progress.left_s and training.is_live else ""),
        ("version", record.version),
    ]
    curves = [[(point.step, point.value) for point in each] for each in (progress.train_loss, progress.eval_loss)]
    return fragment(
        "training_live.html",
        name=record.name,
        run_id=record.run_id,
        state=training.state,
        tone=tone[0],
        mark=tone[1],
        verdict=badge(verdict) if verdict else "",
        phase=progress.phase if training.is_live else "",
        percent=f"{100 * progress.share:.1f}",
        facts=[(name, text) for name, text in facts if text],
        error=one_line(without_folders(record.tags.get("error", ""))) if training.state == "failed" else "",
        curve=loss_curve(curves[0], curves[1], None) if any(curves) else "",
        samples=_samples(progress.samples),
    )


def _samples(records: Sequence[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(prompt, [(step, answer), ...]): of many steps the first ones and the last ones."""
    by_prompt: dict[str, list[tuple[str, str]]] = {}
    for record in records:
        by_prompt.setdefault(record["prompt"], []).append((record["step"], record["answer"]))
    half = MOST_SAMPLE_STEPS // 2
    return [
        (prompt, answers if len(answers) <= MOST_SAMPLE_STEPS else [*answers[:half], *answers[-half:]])
        for prompt, answers in by_prompt.items()
    ]
