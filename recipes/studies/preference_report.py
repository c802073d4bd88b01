"""The page of a study of wrong preferences (``study.md``): how many of them each loss tolerates."""

from collections.abc import Sequence

from data.markdown import bullets, table
from evals.metrics import METRICS, for_studies
from evals.significance import format_p, holm, mean_over_seeds
from recipes.studies.config import StudyConfig
from recipes.studies.page import study_page
from recipes.studies.statistics import Mean, Records, by_value, format_mean, p_value, side_of

ACCURACY = "reward_accuracy"
#: How a difference from another accuracy is described, by the side of 0 that its whole interval is on.
AGAINST = {
    "below": "lower than",
    "above": "higher than",
    "around": "by seeds not to be told from",
    "unknown": "one seed says nothing against",
}


def page(config: StudyConfig, records: Records, missing: int) -> str:
    """The whole page; ``missing`` cells of the grid have not ended."""
    head = [
        "# What wrong preferences do", "",
        f"{len(records)} trainings; losses {', '.join(config.all('losses'))}; rates "
        f"{', '.join(f'{rate:g}' for rate in sorted({0.0, *config.all('rates')}))}; seeds "
        f"{', '.join(map(str, config.all('seeds')))}. `rate` is the share of training pairs that were turned round; "
        "held-out pairs are as they were.", "",
        "Figures are means over seeds with their 95 % intervals (Student's t); differences are taken seed by seed. A "
        "seed chooses the pairs that are turned round and seeds the training. The last weights are measured.",
    ]  # fmt: skip
    return study_page(head, records, missing, _section)


def _section(name: str, records: Records) -> list[str]:
    losses = list(by_value(records, "loss"))
    lines = ["### How many does each loss tolerate?", "", *bullets([_tolerated(records, each) for each in losses]), ""]
    for other in losses[1:]:
        against = [_against(records, other, losses[0], rate) for rate in _rates(records)]
        lines += [f"### {other} against {losses[0]}", "", *bullets(list(filter(None, against))), ""]
    return [*lines, *_table(records)]


def _tolerated(records: Records, loss: str) -> str:
    """At which rates the accuracy is below that without wrong preferences, with p-values adjusted by Holm."""
    rates = [rate for rate in _rates(records) if rate]
    changes = {rate: _differences(_by_seed(records, loss, rate), _by_seed(records, loss, 0.0)) for rate in rates}
    known = [rate for rate in rates if changes[rate]]
    text = f"{loss}: {format_mean(_mean(records, loss, 0.0))} without wrong preferences"
    for rate, p in zip(known, holm([p_value(changes[rate]) for rate in known]), strict=True):
        side = side_of(mean_over_seeds(changes[rate]), 0)
        text += f"; at {rate:g} {format_mean(_mean(records, loss, rate))}, {AGAINST[side]} that"
        text += f" ({format_p(p)} after Holm)" if p is not None else ""
    return f"{text}."


def _against(records: Records, other: str, first: str, rate: float) -> str:
    found = mean_over_seeds(_differences(_by_seed(records, other, rate), _by_seed(records, first, rate)))
    if found is None:
        return ""
    side = AGAINST[side_of(found, 0)]
    return f"at {rate:g}: {METRICS[ACCURACY].shown_as} {format_mean(found, signed=True)}, {side} that with {first}."


def _rates(records: Records) -> list[float]:
    return sorted(by_value(records, "rate"))


def _by_seed(records: Records, loss: str, rate: float, key: str = ACCURACY) -> dict[int, float]:
    here = [each for each in records if each["loss"] == loss and each["rate"] == rate]
    return {each["seed"]: each[key] for each in here if each.get(key) is not None}


def _mean(records: Records, loss: str, rate: float, key: str = ACCURACY) -> Mean:
    return mean_over_seeds(list(_by_seed(records, loss, rate, key).values()), METRICS[key].range)


def _differences(these: dict[int, float], others: dict[int, float]) -> list[float]:
    return [these[seed] - others[seed] for seed in these if seed in others]


def _table(records: Records) -> Sequence[str]:
    columns = {metric.name: metric.shown_as for metric in for_studies("table", "preferences")}
    rows = []
    for loss, own in by_value(records, "loss").items():
        for rate, here in sorted(by_value(own, "rate").items()):
            verdicts = ", ".join(sorted({str(each["verdict"]) for each in here}))
            means = [format_mean(_mean(records, loss, rate, key), note=False) for key in columns]
            rows.append([loss, f"{rate:g}", str(len(here)), verdicts, *means])
    return table(["loss", "rate", "runs", "verdicts", *columns.values()], rows, left=(0, 3))
