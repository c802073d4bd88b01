"""``study.md`` of a pirate study: how many rows, how many epochs, which labels; one table and what it says."""

from collections.abc import Mapping, Sequence
from typing import Any

from evals.significance import mean_over_seeds
from recipes.studies.config import StudyConfig
from recipes.studies.statistics import Records, said, side_of

COLUMNS = {"chrf": "chrF", "lexicon_rate": "pirate lexicon", "content_rate": "content kept", "echo_rate": "echo",
           "loop_rate": "loop", "stop_rate": "stop", "perplexity": "perplexity"}  # fmt: skip


def page(config: StudyConfig, records: Records, missing: int) -> str:
    """The whole page."""
    lines = ["# Pirate: rows, epochs, labels", "",
             f"{len(records)} trainings. Means over the seeds {', '.join(map(str, config.all('seeds')))} with 95 % "
             "intervals (Student's t); all were asked the same held-out rows of their set.", ""]  # fmt: skip
    if missing:
        lines += [f"**Cells of the grid that have not ended, and are left out: {missing}.**", ""]
    for learner in dict.fromkeys(each["learner"] for each in records):
        own = [each for each in records if each["learner"] == learner]
        lines += [f"## {learner}", "", *(f"- {sentence}" for sentence in lessons(own)), "", *table(own), ""]
    return "\n".join(lines)


def lessons(records: Records) -> list[str]:
    """What the table says about each of its three sides."""
    return [*_labels(records), *_epochs(records), *_sets(records)]


def _labels(records: Records) -> list[str]:
    pairs: dict[tuple[Any, ...], dict[str, float]] = {}
    for each in records:
        if each.get("chrf") is not None:
            pairs.setdefault((each["set"], each["epochs"], each["seed"]), {})[each["labels"]] = each["chrf"]
    gains = [pair["response"] - pair["all"] for pair in pairs.values() if len(pair) == 2]
    found = mean_over_seeds(gains)
    if found is None:
        return ["Response or all labels: unknown, no set and length was trained with both."]
    word = {"above": "response labels are better", "below": "all labels are better",
            "around": "no difference can be told", "unknown": "one pair can't tell"}[side_of(found, 0)]  # fmt: skip
    return [f"Response less all labels, over {found.n} pairs: chrF {said(found, signed=True)}; {word}."]


def _epochs(records: Records) -> list[str]:
    out = []
    for name in dict.fromkeys(each["set"] for each in records):
        for labels in dict.fromkeys(each["labels"] for each in records):
            own = [each for each in records if (each["set"], each["labels"]) == (name, labels)]
            out += _course(own, f"{name}, {labels} labels")
    return out


def _course(records: Records, where: str) -> list[str]:
    means = {n: _mean(records, n, "chrf") for n in sorted({each["epochs"] for each in records})}
    known = {n: found for n, found in means.items() if found}
    if len(known) < 2:
        return [f"{where}: how many epochs it takes is unknown, one length is no course."] if known else []
    best = max(known, key=lambda n: known[n].mean)
    text = f"{where}: chrF is highest after {best} epochs, {said(known[best])}"
    last = max(known)
    if best != last:
        text += f"; {last} epochs give {said(known[last])}, so training on made it worse"
    return [text + f" (after {min(known)}: {said(known[min(known)])})."]


def _sets(records: Records) -> list[str]:
    names = list(dict.fromkeys(each["set"] for each in records))
    if len(names) < 2:
        return ["More rows or fewer: unknown, there is one set."]
    best = {}
    for name in names:
        own = [each for each in records if each["set"] == name]
        places = {(each["epochs"], each["labels"]) for each in own}
        means = [
            mean_over_seeds([e.get("chrf") for e in own if (e["epochs"], e["labels"]) == place]) for place in places
        ]
        best[name] = max((found for found in means if found), key=lambda found: found.mean, default=None)
    return ["Each set at its best: " + ", ".join(f"{name} chrF {said(found)}" for name, found in best.items()) + "."]


def table(records: Records) -> list[str]:
    """One line for each set, length and labels."""
    lines = ["| set | epochs | labels | runs | verdicts | " + " | ".join(COLUMNS.values()) + " |",
             "| --- | ---: | --- | ---: | --- |" + " ---: |" * len(COLUMNS)]  # fmt: skip
    for place in dict.fromkeys((each["set"], each["epochs"], each["labels"]) for each in records):
        here = [each for each in records if (each["set"], each["epochs"], each["labels"]) == place]
        verdicts = ", ".join(sorted({str(each["verdict"]) for each in here}))
        cells = [_said(mean_over_seeds([each.get(key) for each in here])) for key in COLUMNS]
        name, epochs, labels = place
        lines.append(f"| {name} | {epochs} | {labels} | {len(here)} | {verdicts} | " + " | ".join(cells) + " |")
    return lines


def _said(found: Any) -> str:
    return said(found).replace(" (one seed, no interval)", "")


def _mean(records: Sequence[Mapping[str, Any]], epochs: int, key: str) -> Any:
    return mean_over_seeds([each.get(key) for each in records if each["epochs"] == epochs])
