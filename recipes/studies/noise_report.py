"""The page of a noise study (``study.md``): questions answered by sentences computed from its cells."""

from data.corruption import CORRUPTIONS
from data.markdown import bullets, table
from evals.label_errors import best_confidence, best_ece
from evals.metrics import METRICS, for_studies
from evals.significance import format_p, holm, mean_over_seeds
from recipes.studies.config import StudyConfig
from recipes.studies.page import changes_table, study_page
from recipes.studies.statistics import (
    NOISE_DATA,
    LearnerSummary,
    Record,
    Records,
    by_value,
    format_mean,
    p_value,
    side_of,
)


def page(config: StudyConfig, records: Records, missing: int) -> str:
    """The whole page; ``missing`` cells of the grid have not ended."""
    rows = f"{config.n_train:,}" if config.n_train else "all"
    tests = f"{config.n_test:,}" if config.n_test else "all"
    head = [
        f"# What wrong labels do: {config.dataset}", "",
        f"{len(records)} trainings: {', '.join(by_value(records, 'learner'))}; kinds "
        f"{', '.join(config.all('kinds'))}; rates {', '.join(f'{rate:g}' for rate in config.all('rates'))}; seeds "
        f"{', '.join(map(str, config.all('seeds')))}; {rows} training rows and {tests} test rows each.", "",
        "Figures are means over seeds with their 95 % intervals (Student's t); differences are taken seed by seed. A "
        "seed draws the rows, chooses the wrong labels and seeds the training, so an interval covers all three.",
        *_warnings(records, len(config.all("seeds"))),
    ]  # fmt: skip
    return study_page(head, records, missing, _section)


def _warnings(records: Records, seeds: int) -> list[str]:
    paragraphs = []
    if seeds < 2:
        paragraphs.append("**One seed: there is no interval, and no difference can be distinguished from chance.**")
    of_seed = by_value(records, "seed").values()
    if any(len({each["rows"] for each in own}) > 1 for own in of_seed):
        paragraphs.append("**Cells of one seed were trained on different rows: the data changed between them.**")
    verdicts = [str(each["verdict"]) for each in records if each["verdict"]]
    counts = ", ".join(f"{name} {verdicts.count(name)}" for name in sorted(set(verdicts)))
    if counts:
        paragraphs.append(f"Verdicts of the runs: {counts}.")
    return [line for paragraph in paragraphs for line in ("", paragraph)]


def _section(name: str, records: Records) -> list[str]:
    learner = LearnerSummary(name, records)
    lines = []
    for question, sentences in (
        ("How does random corruption hurt?", effect_of_random(learner)),
        ("Can wrong labels be detected?", detection(learner)),
        ("What happens to the confidence?", confidence(learner)),
        ("Random against systematic", systematic(learner)),
    ):
        lines += [f"### {question}", "", *bullets(sentences), ""]
    return [*lines, *_table(learner), *changes_table(records, ("kind", "rate", "seed"), "labels", "choices")]


def effect_of_random(learner: LearnerSummary) -> list[str]:
    """How much accuracy on true labels random corruption costs, with p-values adjusted by Holm over the rates."""
    kind = _random_kind(learner)
    if not kind:
        return ["Unknown: the grid has no random kind (symmetric, best_swapped)."]
    key, chance = _primary(learner)
    rates = learner.rates(kind)
    changes = {rate: learner.change(kind, rate, key) for rate in rates}
    adjusted = dict(zip(rates, holm([p_value(changes[rate]) for rate in rates]), strict=True))
    sentences = [f"Without wrong labels {METRICS[key].shown_as} is {format_mean(learner.mean(kind, 0, key))}."]
    for rate in rates:
        found, change = learner.mean(kind, rate, key), mean_over_seeds(changes[rate])
        text = f"At rate {rate:g} it is {format_mean(found)}"
        if change:
            text += f": {format_mean(change, signed=True)} against clean, {EFFECTS[side_of(change, 0)]}"
            if adjusted[rate] is not None:
                text += f", {format_p(adjusted[rate])} after Holm over {len(rates)}"
        if chance is not None and rate == 0.5 and found:
            text += "; labels of which half are wrong hold no information, and the interval "
            text += f"{AGAINST_CHANCE[side_of(found, chance)]} chance, {chance:g}"
        sentences.append(text + ".")
    return sentences


EFFECTS = {
    "below": "less than clean",
    "above": "more than clean, which is not expected",
    "around": "which seeds alone could cause",
    "unknown": "whether that is more than chance is unknown",
}
AGAINST_CHANCE = {"around": "holds", "above": "is above", "below": "is below", "unknown": "can't be compared with"}


def detection(learner: LearnerSummary) -> list[str]:
    """Whether flipped rows have the higher loss, and how many of them were memorised."""
    answers = {
        "above": "detected better than by chance",
        "around": "detected no better than by chance",
        "below": "detected worse than by chance: wrong labels have the lower loss",
        "unknown": "one seed can't distinguish chance from detection",
    }
    sentences = []
    for kind, rate in learner.places()[1:]:
        found, memorised = (learner.mean(kind, rate, key) for key in ("detection_auroc", "memorised_share"))
        if found is None:
            sentences.append(f"{kind} at {rate:g}: undefined, no row was flipped or all were.")
            continue
        sentences.append(
            f"{kind} at {rate:g}: {answers[side_of(found, 0.5)]}. A flipped row has the higher loss with probability "
            f"{format_mean(found)}; {format_mean(memorised)} of the flipped rows were memorised."
        )
    return sentences or ["Unknown: the grid has no wrong labels."]


def confidence(learner: LearnerSummary) -> list[str]:
    """Mean confidence against accuracy, ECE, and both for the optimal classifier of symmetric noise."""
    sentences = [_confidence_at(learner, kind, rate) for kind, rate in learner.places()]
    return list(filter(None, sentences)) or ["Undefined: the learner gives no probabilities of labels."]


def _confidence_at(learner: LearnerSummary, kind: str, rate: float) -> str:
    """One sentence; empty where the confidence is undefined."""
    mean, error = (learner.mean(kind, rate, key) for key in ("mean_confidence", "ece"))
    if mean is None:
        return ""
    text = f"{f'{kind} at {rate:g}' if rate else 'clean'}: mean confidence {format_mean(mean)}"
    gap = mean_over_seeds(_confidence_gaps(learner, kind, rate))
    answers = {
        "above": "overconfident",
        "below": "underconfident",
        "around": "neither, as far as seeds show",
        "unknown": "overconfident or not is unknown",
    }
    if gap:
        text += f", {format_mean(gap, signed=True)} against the accuracy: {answers[side_of(gap, 0)]}"
    text += f". ECE {format_mean(error)}"
    if kind == "symmetric" and 0 < rate < 0.5:
        text += f"; the optimal classifier of this noise has confidence {best_confidence(rate):g}, ECE "
        text += f"{best_ece(rate):g}"
    return text + "."


def _confidence_gaps(learner: LearnerSummary, kind: str, rate: float) -> list[float]:
    confidences, accuracies = (learner.by_seed(kind, rate, key) for key in ("mean_confidence", "accuracy"))
    return [confidences[seed] - accuracies[seed] for seed in confidences if seed in accuracies]


def systematic(learner: LearnerSummary) -> list[str]:
    """Systematic corruption against random at the same rate, by accuracy and by the ranking of rows."""
    kind = _random_kind(learner)
    others = [each for each in learner.kinds if not CORRUPTIONS[each].is_random]
    if not kind or not others:
        return ["Unknown: the grid needs symmetric and a systematic kind, such as one_sided, for that."]
    key, _ = _primary(learner)
    sentences = []
    for other in others:
        common = [rate for rate in learner.rates(other) if rate in learner.rates(kind)]
        if not common:
            sentences.append(f"{other}: unknown, no rate is in the grid for it and for {kind}.")
        sentences += [_against_random(learner, other, kind, rate, key) for rate in common]
    return sentences


def _against_random(learner: LearnerSummary, other: str, kind: str, rate: float, key: str) -> str:
    change = mean_over_seeds(learner.change(other, rate, key, kind, rate))
    wrong = [learner.mean(each, rate, "flipped_share") for each in (other, kind)]
    shares = " and ".join("an unknown share" if each is None else f"{each.mean:.0%}" for each in wrong)
    answers = {
        "above": f"it hurts less than {kind}",
        "below": f"it hurts more than {kind}",
        "around": f"it can't be distinguished from {kind}",
        "unknown": f"whether it hurts more than {kind} is unknown",
    }
    text = f"{other} at {rate:g} ({shares} of all labels wrong, with {kind}): {METRICS[key].shown_as} "
    text += f"{format_mean(learner.mean(other, rate, key))}, {format_mean(change, signed=True)} against {kind}; "
    return text + f"{answers[side_of(change, 0)]}.{_ranking(learner, other, rate, key)}"


def _ranking(learner: LearnerSummary, kind: str, rate: float, key: str) -> str:
    """A sentence on the AUC where the primary metric is below that of the clean control; else empty."""
    lost, change = (mean_over_seeds(learner.change(kind, rate, each)) for each in (key, "auc"))
    if not (lost and change and side_of(lost, 0) == "below"):
        return ""
    auc = f"(AUC {format_mean(learner.mean(kind, rate, 'auc'))}, {format_mean(change, signed=True)} against clean)"
    if change.mean > lost.mean / 2:
        return f" It still ranks the rows {auc}: the probabilities hold more information than the labels it gives."
    return f" The ranking suffers too {auc}."


def _random_kind(learner: LearnerSummary) -> str:
    return next((kind for kind, each in CORRUPTIONS.items() if each.is_random and kind in learner.kinds), "")


def _primary(learner: LearnerSummary) -> tuple[str, float | None]:
    """(primary metric, its value by chance): accuracy for texts, MC1 for questions."""
    has_accuracy = any(each.get("accuracy") is not None for each in learner.records)
    return ("accuracy", 0.5) if has_accuracy else ("mc1", None)


def _table(learner: LearnerSummary) -> list[str]:
    columns = {metric.name: metric.shown_as for metric in for_studies("table", *NOISE_DATA)}
    shown = {k: name for k, name in columns.items() if any(each.get(k) is not None for each in learner.records)}
    rows = []
    for kind, rate in learner.places():
        runs = sum(_is_at(each, kind, rate) for each in learner.records)
        if runs:
            means = [format_mean(learner.mean(kind, rate, key)) for key in shown]
            rows.append([kind or "clean", f"{rate:g}", str(runs), *means])
    return table(["kind", "rate", "runs", *shown.values()], rows)


def _is_at(record: Record, kind: str, rate: float) -> bool:
    return record["rate"] == rate and (not rate or record["kind"] == kind)
