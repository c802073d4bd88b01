"""``study.md`` of a noise study: the questions answered from its cells, each sentence computed, unknowns said."""

from collections.abc import Mapping
from typing import Any

from evals.label_errors import best_confidence, best_ece
from evals.significance import holm, mean_over_seeds
from recipes.studies.config import StudyConfig
from recipes.studies.statistics import LearnerSummary, Records, p_of, p_said, said, side_of

RANDOM = ("symmetric", "best_swapped")
COLUMNS = {
    "accuracy": "accuracy", "mc1": "MC1", "auc": "AUC", "ece": "ECE", "mean_confidence": "mean confidence",
    "memorised_share": "flipped rows memorised", "detection_auroc": "flipped rows found (AUROC)",
    "flipped_share": "labels that are wrong", "pruning_gain": "gain of pruning",
}  # fmt: skip


def page(config: StudyConfig, records: Records, missing: int) -> str:
    """The whole page."""
    learners = [
        LearnerSummary(name, [each for each in records if each["learner"] == name])
        for name in dict.fromkeys(each["learner"] for each in records)
    ]
    rows = f"{config.n_train:,}" if config.n_train else "all"
    tests = f"{config.n_test:,}" if config.n_test else "all"
    lines = [
        f"# What wrong labels do: {config.dataset}", "",
        f"{len(records)} trainings: {', '.join(learner.name for learner in learners)}; kinds "
        f"{', '.join(config.all('kinds'))}; rates {', '.join(f'{rate:g}' for rate in config.all('rates'))}; seeds "
        f"{', '.join(map(str, config.all('seeds')))}; {rows} training rows and {tests} test rows each.", "",
        "Figures are means over seeds with their 95 % intervals (Student's t); differences are taken seed by seed. A "
        "seed draws the rows, chooses the wrong labels and seeds the training, so an interval covers all three.", "",
    ]  # fmt: skip
    lines += _warnings(records, missing, len(config.all("seeds")))
    for learner in learners:
        lines += [f"## {learner.name}", ""]
        for question, answer in (
            ("How does random corruption hurt?", hurt(learner)),
            ("Can the model tell right from wrong labels?", telling(learner)),
            ("What happens to its confidence?", confidence(learner)),
            ("Random against systematic", against(learner)),
        ):
            lines += [f"### {question}", "", *(f"- {sentence}" for sentence in answer), ""]
        lines += [*_table(learner), ""]
    return "\n".join(lines)


def hurt(learner: LearnerSummary) -> list[str]:
    """What random corruption takes from the accuracy on true labels."""
    kind = _random(learner)
    if not kind:
        return ["Unknown: the grid has no random kind (symmetric, best_swapped)."]
    key, chance = _score(learner)
    name = COLUMNS[key]
    rates = learner.rates(kind)
    changes = {rate: learner.change(kind, rate, key) for rate in rates}
    adjusted = dict(zip(rates, holm([p_of(changes[rate]) for rate in rates]), strict=True))
    out = [f"Without wrong labels {name} is {said(learner.mean(kind, 0, key))}."]
    for rate in rates:
        found, change = learner.mean(kind, rate, key), mean_over_seeds(changes[rate])
        effect = {
            "below": "less than clean",
            "above": "more than clean, which should not be",
            "around": "which seeds alone could make",
            "unknown": "whether that is more than chance is unknown",
        }
        text = f"At rate {rate:g} it is {said(found)}"
        if change:
            test = f", {p_said(adjusted[rate])} after Holm over {len(rates)}" if adjusted[rate] is not None else ""
            text += f": {said(change, signed=True)} against clean, {effect[side_of(change, 0)]}{test}"
        if chance is not None and rate == 0.5 and found:
            held = {"around": "holds", "above": "is above", "below": "is below", "unknown": "can't be held against"}
            text += f"; half of the labels being wrong says nothing, and the interval {held[side_of(found, chance)]} "
            text += f"chance, {chance:g}"
        out.append(text + ".")
    return out


def telling(learner: LearnerSummary) -> list[str]:
    """Whether wrong labels stand out by their loss, and how many were learned by heart."""
    out = []
    for kind in learner.kinds:
        for rate in learner.rates(kind):
            found, memory = (learner.mean(kind, rate, key) for key in ("detection_auroc", "memorised_share"))
            where = f"{kind} at {rate:g}"
            if found is None:
                out.append(f"{where}: undefined, no row was flipped or all were.")
                continue
            answer = {"above": "yes, better than chance", "around": "not better than chance",
                      "below": "worse than chance: wrong labels look more right than right ones",
                      "unknown": "one seed can't tell chance from skill"}[side_of(found, 0.5)]  # fmt: skip
            text = f"{where}: {answer}. A flipped row has the higher loss with chance {said(found)}; "
            out.append(text + f"{said(memory)} of the flipped rows were memorised.")
    return out or ["Unknown: the grid has no wrong labels."]


def confidence(learner: LearnerSummary) -> list[str]:
    """How sure the model is, how sure it should be, and what theory says of a perfect learner of random noise."""
    places = [("", 0.0), *((kind, rate) for kind in learner.kinds for rate in learner.rates(kind))]
    out = []
    for kind, rate in places:
        sure, error = (learner.mean(kind, rate, key) for key in ("mean_confidence", "ece"))
        if sure is None:
            continue
        gap = mean_over_seeds(_gaps(learner, kind, rate))
        text = f"{f'{kind} at {rate:g}' if rate else 'clean'}: it is {said(sure)} sure on average"
        word = {"above": "too sure", "below": "too humble", "around": "neither, as far as seeds tell",
                "unknown": "too sure or not is unknown"}[side_of(gap, 0)]  # fmt: skip
        if gap:
            text += f", {said(gap, signed=True)} against the share that is right: {word}"
        text += f". ECE {said(error)}"
        if kind == "symmetric" and 0 < rate < 0.5:
            text += f"; a learner that saw through the noise would be {best_confidence(rate):g} sure, ECE "
            text += f"{best_ece(rate):g}"
        out.append(text + ".")
    return out or ["Undefined: the learner gives no probabilities of labels."]


def _gaps(learner: LearnerSummary, kind: str, rate: float) -> list[float]:
    sure, right = (learner.by_seed(kind, rate, key) for key in ("mean_confidence", "accuracy"))
    return [sure[seed] - right[seed] for seed in sure if seed in right]


def against(learner: LearnerSummary) -> list[str]:
    """Systematic corruption beside random at the same rate, and whether the model knows more than it says."""
    kind = _random(learner)
    others = [each for each in learner.kinds if each not in RANDOM]
    if not kind or not others:
        return ["Unknown: the grid needs symmetric and a systematic kind, such as one_sided, for that."]
    key, _ = _score(learner)
    out = []
    for other in others:
        common = [rate for rate in learner.rates(other) if rate in learner.rates(kind)]
        if not common:
            out.append(f"{other}: unknown, no rate is in the grid for it and for {kind}.")
        for rate in common:
            out.append(_beside(learner, other, kind, rate, key))
    return out


def _beside(learner: LearnerSummary, other: str, kind: str, rate: float, key: str) -> str:
    change = mean_over_seeds(learner.change(other, rate, key, kind, rate))
    wrong = [learner.mean(each, rate, "flipped_share") for each in (other, kind)]
    shares = " and ".join("an unknown share" if each is None else f"{each.mean:.0%}" for each in wrong)
    word = {
        "above": f"it hurts less than {kind}",
        "below": f"it hurts more than {kind}",
        "around": f"it can't be told from {kind}",
        "unknown": f"whether it hurts more than {kind} is unknown",
    }
    found = learner.mean(other, rate, key)
    text = f"{other} at {rate:g} ({shares} of all labels wrong, with {kind}): {COLUMNS[key]} {said(found)}, "
    text += f"{said(change, signed=True)} against {kind}; {word[side_of(change, 0)]}."
    lost, order = (mean_over_seeds(learner.change(other, rate, each)) for each in (key, "auc"))
    if lost and order and side_of(lost, 0) == "below":
        ranks = learner.mean(other, rate, "auc")
        if order.mean > lost.mean / 2:
            text += f" It still ranks the rows (AUC {said(ranks)}, {said(order, signed=True)} against clean): it knows "
            text += "more than it says."
        else:
            text += f" The ranking suffers too (AUC {said(ranks)}, {said(order, signed=True)} against clean)."
    return text


def _random(learner: LearnerSummary) -> str:
    return next((kind for kind in RANDOM if kind in learner.kinds), "")


def _score(learner: LearnerSummary) -> tuple[str, float | None]:
    """(what the study is about, its value by chance): accuracy for texts, MC1 for questions."""
    has = any(each.get("accuracy") is not None for each in learner.records)
    return ("accuracy", 0.5) if has else ("mc1", None)


def _warnings(records: Records, missing: int, seeds: int) -> list[str]:
    out = []
    if missing:
        out.append(f"**Cells of the grid that have not ended, and are left out: {missing}.**")
    if seeds < 2:
        out.append("**One seed: no interval can be given, and no difference told from chance.**")
    taught: dict[Any, set[str]] = {}
    for each in records:
        taught.setdefault(each["seed"], set()).add(each["rows"])
    if any(len(digests) > 1 for digests in taught.values()):
        out.append("**Cells of one seed were taught different rows: the data changed between them.**")
    verdicts = [str(each["verdict"]) for each in records]
    counts = ", ".join(f"{name} {verdicts.count(name)}" for name in sorted(set(verdicts)) if name)
    return [
        *(line for each in out for line in (each, "")),
        *([f"Verdicts of the runs: {counts}.", ""] if counts else []),
    ]


def _table(learner: LearnerSummary) -> list[str]:
    shown = {k: name for k, name in COLUMNS.items() if any(each.get(k) is not None for each in learner.records)}
    lines = ["| kind | rate | runs | " + " | ".join(shown.values()) + " |", "| --- |" + " ---: |" * (len(shown) + 2)]
    places = [("", 0.0), *((kind, rate) for kind in learner.kinds for rate in learner.rates(kind))]
    for kind, rate in places:
        runs = sum(_is_at(each, kind, rate) for each in learner.records)
        if runs:
            cells = [said(learner.mean(kind, rate, key)) for key in shown]
            lines.append(f"| {kind or 'clean'} | {rate:g} | {runs} | " + " | ".join(cells) + " |")
    return lines


def _is_at(record: Mapping[str, Any], kind: str, rate: float) -> bool:
    return record["rate"] == rate and (not rate or record["kind"] == kind)
