"""Runs as HTML: a list with sparklines, and two runs side by side."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from demo.view.charts import loss_curve
from demo.view.details import badge, is_web_address, number, signed
from demo.view.html import Markup, fragment, one_line, without_folders
from demo.view.training import STATES, duration

if TYPE_CHECKING:
    from demo.runs import RunList, RunRow
    from registry.run_records import Point

#: Params that are no settings, or stand there under another name, too.
UNLISTED = ("resume", "learning_rate", "num_train_epochs", "claims_text", "claims_digest")
WIDTH, HEIGHT, EDGE, MOST_POINTS = 120, 34, 3, 60


def listed(found: "RunList", chosen: set[str]) -> Markup:
    """The list; ``chosen``: ids of the runs whose boxes are ticked."""
    rows = [{**_cells(row), "chosen": row.record.run_id in chosen} for row in found.rows]
    return fragment("runs.html", rows=rows, fitting=found.fitting, cells=found.cells)


def _cells(row: "RunRow") -> dict[str, Any]:
    record, (tone, mark) = row.record, STATES[row.state]
    verdict = record.tags.get("verdict", "")
    now = row.progress
    return {
        "id": record.run_id,
        "name": one_line(record.name, 80),
        "entry": record.entry,
        "when": datetime.fromtimestamp(record.started_s).strftime("%d %b %H:%M"),
        "state": None if row.state == "finished" else (tone, mark, row.state),
        "verdict": badge(verdict) if verdict else "",
        "error": one_line(without_folders(record.tags.get("error", "")), 120) if row.state == "failed" else "",
        "spark": sparkline(row.train_loss, row.eval_loss),
        "metric": _metric(row.line),
        "n": f"{row.rows:,}" if row.rows else "",
        "time": "" if row.seconds is None else duration(row.seconds),
        "base": without_folders(row.base),
        "data": without_folders(row.data),
        "version": record.version,
        "pair": f"{record.tags.get('start') or record.version + ':base'} {record.version}" if record.version else "",
        "answers": _number_of(record.params.get("sample_prompts")) > 0,
        "live": now
        and {
            "percent": f"{100 * now.share:.1f}",
            "loss": number(now.train_loss[-1].value) if now.train_loss else "",
            "rate": f"{now.tokens_per_s:,.0f} tokens/s" if now.tokens_per_s else "",
            "left": f"{duration(now.left_s)} left" if now.left_s else now.phase,
            "samples": _last_answers(now.samples),
        },
    }


def _last_answers(samples: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(prompt, answer) of each sample prompt at the last evaluation."""
    last = {each["prompt"]: each["answer"] for each in samples}
    return [(one_line(prompt, 60), one_line(answer, 120)) for prompt, answer in last.items()]


def _number_of(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _metric(line: Any) -> dict[str, str] | None:
    """Label, both values, and the change with its interval; ``tone`` says whether that is clear of 0, and better."""
    if not line:
        return None
    change = line.get("change")
    known = change and change["low"] is not None and change["high"] is not None
    tones = {"better": "good", "worse": "bad"}
    return {
        "label": line["label"],
        "before": number(line["before"]),
        "after": number(line["after"]),
        "change": signed(change["change"]) if change else "",
        "interval": f"{signed(change['low'])} to {signed(change['high'])}" if known else "too few rows for an interval",
        "tone": tones.get(line.get("outcome", ""), "plain"),
    }


def sparkline(train: "Sequence[Point]", evals: "Sequence[Point]") -> Markup:
    """Both losses as a small SVG without axes: training thin, validation thick with a dot at its end."""
    finite = [[point for point in each if abs(point.value) < 1e300] for each in (train, evals)]
    every = [point for each in finite for point in each]
    if not every:
        return Markup('<span class="parley-soft">–</span>')
    last, low, high = max(point.step for point in every) or 1, *_range(every)

    def place(point: "Point") -> tuple[float, float]:
        x = EDGE + point.step / last * (WIDTH - 2 * EDGE)
        return round(x, 1), round(EDGE + (high - point.value) / (high - low) * (HEIGHT - 2 * EDGE), 1)

    lines = [[place(point) for point in each[:: max(1, len(each) // MOST_POINTS)]] for each in finite]
    ends = [f"{name} loss {number(each[0].value)} to {number(each[-1].value)}"
            for name, each in zip(("training", "validation"), finite, strict=True) if each]  # fmt: skip
    size = {"width": WIDTH, "height": HEIGHT}
    return fragment("sparkline.svg", **size, train=lines[0], validation=lines[1], text=", ".join(ends))


def _range(points: "Sequence[Point]") -> tuple[float, float]:
    values = sorted(point.value for point in points)
    return values[0], values[-1] if values[-1] > values[0] else values[0] + 1


def _plain(points: "Sequence[Point]") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in points]


def compared(first: "RunRow", second: "RunRow", ui_address: str = "") -> Markup:
    """Two runs beside each other: what they found, their curves, and the settings in which they differ."""
    from demo.runs import different_settings

    rows = (first, second)
    curves = [loss_curve(_plain(row.train_loss), _plain(row.eval_loss), None) for row in rows]
    settings = [
        (name, *map(without_folders, values))
        for name, *values in different_settings(first.record, second.record)
        if name not in UNLISTED
    ]
    ids = [row.record.run_id for row in rows]
    experiments = sorted({row.record.experiment_id for row in rows})
    query = f"runs={quote(json.dumps(ids))}&experiments={quote(json.dumps(experiments))}"
    link = f"{ui_address.rstrip('/')}/#/compare-runs?{query}" if is_web_address(ui_address) else ""
    return fragment(
        "runs_compared.html", sides=list(zip(map(_cells, rows), curves, strict=True)), settings=settings, link=link
    )
