"""Answers of base and version to held-out prompts, compared by a judge, and the judge compared with people's votes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data import pirate
from data.conversation import Row
from data.errors import DataError, UserError
from data.formats import files
from evals import pairwise, prediction_powered
from evals.agreement import Agreement, agreement
from evals.bootstrap import LEAST_ROWS
from evals.generation import Decoding, answer
from evals.pairwise import Comparison, Judge, Judgement
from evals.prediction_powered import PredictionPowered
from recipes import judges
from recipes.evaluation import models
from recipes.evaluation.config import EvaluateConfig
from recipes.evaluation.models import Sides
from recipes.version_rows import rows_of
from registry import lineage
from registry.runs import Run
from registry.votes import store
from registry.votes.votes import Vote

SIDES = ("left", "right")


@dataclass(frozen=True)
class Pair:
    """A prompt with two answers to it."""

    prompt: str
    first: str
    second: str


@dataclass(frozen=True)
class Judged:
    """What a judge found.

    ``votes``: how many blind single-turn votes on the model there are; ``agreement``: the judge's with them, None
    without any. ``with_votes``: the win rate by judge and ``own_votes`` together, the votes on this version against its
    base; None for too few of these.
    """

    pairs: Sequence[Pair]
    judgements: Sequence[Judgement]
    comparison: Comparison
    votes: int
    agreement: Agreement | None
    own_votes: int
    with_votes: PredictionPowered | None


def compare(config: EvaluateConfig, sides: Sides, run: Run) -> Judged:
    """Let both models answer the held-out prompts greedily, and the judge compare their answers and those of votes.

    Raises:
        UserError: the judge, the prompts or a model is not there, or none of the judge's replies can be read.
    """
    judge = judges.make(config.judge, run.folder, config.seed)
    rows = prompts(config, sides)
    first, second = (
        [each.text for each in answer(model, tokenizer, rows, Decoding(config.max_new_tokens))]
        for model, tokenizer in models.each_side(sides)
    )
    pairs = [Pair(shown(row), *answers) for row, *answers in zip(rows, first, second, strict=True)]
    votes = [vote for vote in store.load(sides.version.name) if vote.blind and not vote.left.earlier]
    found = judge_all(judge, [*pairs, *(Pair(v.prompt, v.left.reply.text, v.right.reply.text) for v in votes)])
    judgements, on_votes = found[: len(pairs)], found[len(pairs) :]
    comparison = pairwise.compare(judgements)
    if comparison is None:
        raise UserError(f"judge={config.judge}: none of its replies is one of the letters A, B and C")
    valid = [(vote, each) for vote, each in zip(votes, on_votes, strict=True) if each.is_valid]
    own = [(vote, each) for vote, each in valid if set(vote.versions) == {sides.reference, f"{sides.reference}:base"}]
    return Judged(
        pairs, judgements, comparison, len(valid),
        agreement([choice_of(vote) for vote, _ in valid], [choice_by(each) for _, each in valid]),
        len(own), combined(judgements, own, sides.reference),
    )  # fmt: skip


def prompts(config: EvaluateConfig, sides: Sides) -> list[Row]:
    """The rows whose prompts are answered: the first ``limit`` of ``test_dataset``, or of those that the run reported.

    Raises:
        UserError: there are none, or the run's rows are not what they were.
    """
    rows = _rows(config.test_dataset) if config.test_dataset else reported_rows(sides)
    return rows[: config.limit or None]


def _rows(place: str) -> list[Row]:
    return pirate.test_rows() if pirate.is_named(place) else files.load(place).rows


def reported_rows(sides: Sides) -> list[Row]:
    """The test rows of the run that made the version, read again.

    Raises:
        UserError: the run is unknown or no fine-tuning on prompts, or its files can't be read or have changed.
    """
    reference, made_by = sides.reference, sides.version.run_id
    params = lineage.params_of(made_by)
    if "dataset" not in params or "n_train" in params:
        raise UserError(f"test_dataset: {reference} has no run that names held-out prompts; give a file with prompts")
    try:
        rows = rows_of(params)
    except DataError as error:
        raise UserError(f"test_dataset: the rows of {reference}'s run can't be read ({error}); give a file") from error
    known = sides.version.tags.get("test_digest")
    if known and known != rows.digests()["test_digest"]:
        raise UserError(f"test_dataset: the held-out rows of {reference} are not what they were; give a file")
    return rows.test


def shown(row: Row) -> str:
    """A row's conversation up to its last prompt, as the judge reads it."""
    earlier = "".join(f"User: {prompt}\n\nAssistant: {text}\n\nUser: " for prompt, text in row.turns[:-1])
    before = f"System: {row.system}\n\n" if row.system else ""
    return before + earlier + row.prompt


def judge_all(judge: Judge, pairs: Sequence[Pair]) -> list[Judgement]:
    """The judge's reply to every pair, in both orders."""
    texts = [text for pair in pairs for text in pairwise.prompts(pair.prompt, pair.first, pair.second)]
    letters = judge(texts)
    return [Judgement(*both) for both in zip(letters[::2], letters[1::2], strict=True)]


def choice_of(vote: Vote) -> str:
    """``left``, ``right`` or ``tie``, which *both bad* is, too."""
    return vote.choice if vote.choice in SIDES else "tie"


def choice_by(found: Judgement) -> str:
    """The same of a judgement whose first answer is the left one."""
    return {0.0: "left", 1.0: "right"}.get(found.value, "tie")


def combined(
    judgements: Sequence[Judgement], own: Sequence[tuple[Vote, Judgement]], reference: str
) -> PredictionPowered | None:
    """The version's win rate by votes and judge together; None for fewer votes than a bootstrap would take."""
    if len(own) < LEAST_ROWS:
        return None
    is_right = [vote.versions[1] == reference for vote, _ in own]
    rated = [{"left": 0.0, "right": 1.0}.get(vote.choice, 0.5) for vote, _ in own]
    predicted = [found.value for _, found in own]
    for values in (rated, predicted):
        values[:] = [value if right else 1 - value for value, right in zip(values, is_right, strict=True)]
    alone = [each.value for each in judgements if each.is_valid]
    return prediction_powered.mean(np.array(rated), np.array(predicted), np.array(alone))
