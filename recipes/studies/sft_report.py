"""The page of a pirate study (``study.md``): how many rows, how many epochs, which labels."""

from data.markdown import bullets, table
from evals.metrics import for_studies
from evals.significance import mean_over_seeds
from recipes.studies.config import StudyConfig
from recipes.studies.page import changes_table, study_page
from recipes.studies.statistics import Mean, Records, by_value, format_mean, side_of


def page(config: StudyConfig, records: Records, missing: int) -> str:
    """The whole page; ``missing`` cells of the grid have not ended."""
    head = [
        "# Pirate: rows, epochs, labels", "",
        f"{len(records)} trainings. Means over the seeds {', '.join(map(str, config.all('seeds')))} with 95 % "
        "intervals (Student's t); all were evaluated on the same held-out rows of their set.",
    ]  # fmt: skip
    return study_page(head, records, missing, _section)


def _section(name: str, records: Records) -> list[str]:
    lines = [*bullets([_labels(records), *_epochs(records), _sets(records)]), "", *_table(records)]
    return [*lines, *changes_table(records, ("set", "epochs", "labels", "seed"), "answers")]


def _labels(records: Records) -> str:
    """Response labels against all labels, paired by set, epochs and seed."""
    pairs: dict[tuple[str, int, int], dict[str, float]] = {}
    for each in records:
        if each.get("chrf") is not None:
            pairs.setdefault((each["set"], each["epochs"], each["seed"]), {})[each["labels"]] = each["chrf"]
    gains = [pair["response"] - pair["all"] for pair in pairs.values() if len(pair) == 2]
    found = mean_over_seeds(gains)
    if found is None:
        return "Response or all labels: unknown, no set and length was trained with both."
    answer = {"above": "response labels are better", "below": "all labels are better",
              "around": "no difference is visible", "unknown": "one pair is too few"}[side_of(found, 0)]  # fmt: skip
    return f"Response less all labels, over {found.n} pairs: chrF {format_mean(found, signed=True)}; {answer}."


def _epochs(records: Records) -> list[str]:
    """The best number of epochs for every set and kind of labels."""
    sentences = []
    labels = list(by_value(records, "labels"))
    for name, of_set in by_value(records, "set").items():
        for each in labels:
            own = [record for record in of_set if record["labels"] == each]
            sentences.append(_best_epochs(own, f"{name}, {each} labels"))
    return list(filter(None, sentences))


def _best_epochs(records: Records, name: str) -> str:
    means = {n: _chrf(own) for n, own in sorted(by_value(records, "epochs").items())}
    known = {n: found for n, found in means.items() if found}
    if len(known) < 2:
        return f"{name}: the best number of epochs is unknown, there is one only." if known else ""
    best, first, last = max(known, key=lambda n: known[n].mean), min(known), max(known)
    text = f"{name}: chrF is highest after {best} epochs, {format_mean(known[best])}"
    if best != last:
        text += f"; {last} epochs give {format_mean(known[last])}, so training on made it worse"
    return f"{text} (after {first}: {format_mean(known[first])})."


def _sets(records: Records) -> str:
    """Every training set with the epochs and labels that are best for it."""
    sets = by_value(records, "set")
    if len(sets) < 2:
        return "More rows or fewer: unknown, there is one set."
    best: dict[str, Mean] = {}
    for name, own in sets.items():
        places = dict.fromkeys((each["epochs"], each["labels"]) for each in own)
        means = [_chrf([e for e in own if (e["epochs"], e["labels"]) == place]) for place in places]
        best[name] = max(filter(None, means), key=lambda found: found.mean, default=None)
    return (
        "Each set at its best: " + ", ".join(f"{name} chrF {format_mean(found)}" for name, found in best.items()) + "."
    )


def _chrf(records: Records) -> Mean:
    return mean_over_seeds([each.get("chrf") for each in records])


def _table(records: Records) -> list[str]:
    """One row per set, number of epochs and kind of labels."""
    rows = []
    columns = {metric.name: metric.shown_as for metric in for_studies("table", "answers")}
    for place in dict.fromkeys((each["set"], each["epochs"], each["labels"]) for each in records):
        here = [each for each in records if (each["set"], each["epochs"], each["labels"]) == place]
        verdicts = ", ".join(sorted({str(each["verdict"]) for each in here}))
        means = [format_mean(mean_over_seeds([each.get(key) for each in here]), note=False) for key in columns]
        rows.append([*map(str, place), str(len(here)), verdicts, *means])
    return table(["set", "epochs", "labels", "runs", "verdicts", *columns.values()], rows, left=(0, 2, 4))
