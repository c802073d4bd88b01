"""Two language models compared: both are loaded and answer the same held-out rows with the same settings."""

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from pathlib import Path

from data import pirate
from data.conversation import Row, digest
from data.errors import UserError, first_line
from data.formats import files
from evals import metrics
from evals.generation import Decoding, Scores, score
from evals.primary import choose
from evals.suites import table as suites
from evals.suites.language_model import LanguageModel
from evals.suites.suite import HeldOut
from inference.locations import ModelLocation
from recipes.compare.config import CompareConfig
from recipes.compare.types import Measured, Side, primary_of
from recipes.judges import make as make_judge
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows, has_style
from recipes.sft.page import items_of
from recipes.sft.run import with_suites
from recipes.version_models import load, locate
from recipes.version_rows import rows_of
from train.base_model import context_length

DEFAULTS = TuneConfig()


def measure(config: CompareConfig, first: Side, second: Side, folder: Path) -> Generator[str, None, Measured]:
    """Let both versions answer the rows and the suites, one after the other, and compare every metric in pairs.

    Yields a line before each of them answers; returns what was measured.

    Args:
        folder: where a judge's replies are kept.

    Raises:
        UserError: the rows or a model can't be had, or the versions were evaluated on different rows.
    """
    rows, source = held_out(config, first, second)
    style = has_style(rows)
    primary = choose(primary_of(config, first), "answers", without=() if style else ("lexicon_rate",))
    locations = [locate(side.name) for side in (first, second)]
    for side, location in zip((first, second), locations, strict=True):
        if location.remote:
            raise UserError(f"versions: {side.name} is a model at an API; only versions with weights are compared")
    new_tokens = config.max_new_tokens or _number(first.params, "max_new_tokens")
    length = _number(first.params, "max_length")
    judge = partial(make_judge, folder=folder, seed=config.seed)
    trained = [_trained(side) for side in (first, second)]
    known = [
        HeldOut(rows, seed=config.seed, has_style=style, training_responses=[row.response for row in each], judge=judge)
        for each in trained
    ]
    suites.choose(known[0], config.suites)  # whatever is wrong with them shows before a model is loaded
    found: list[Scores] = []
    for number, side in enumerate((first, second)):
        yield f"Answers {side.name}, {number + 1} of 2 versions, {len(rows):,} rows"
        given = rows, trained[number], Decoding(new_tokens), length, known[number], config.suites
        found.append(_answers(locations[number], *given))
    before, after = found
    same_training = trained[0] == trained[1]
    paired = [each.of_all_rows if same_training else each.statistics for each in found]
    notes = ["both versions have the same weights"] if locations[0].info == locations[1].info else []
    return Measured(
        before.values,
        after.values,
        metrics.changes(paired[0], paired[1], config.seed),
        len(rows),
        items_of(rows, before, after, primary.name),
        primary.name,
        primary.shown_as,
        primary.higher_is_better is False,
        source,
        digest(rows),
        tuple(notes),
    )


def held_out(config: CompareConfig, first: Side, second: Side) -> tuple[list[Row], str]:
    """The rows that both versions answer, and what these are in words.

    Raises:
        UserError: the versions were evaluated on different rows, or their rows can't be read again as they were.
    """
    if config.dataset:
        given = config.dataset
        return (pirate.named_rows(given) if pirate.is_named(given) else files.read_rows(given)), f"the rows of {given}"
    known, other = (side.version.tags.get("test_digest", "") for side in (first, second))
    if not known or not first.params:
        raise UserError(f"versions: the run of {first.name} keeps no held-out rows; name rows with dataset=FILE")
    if known != other:
        raise UserError(
            f"versions: {first.name} and {second.name} were evaluated on different rows; name rows with dataset=FILE"
        )
    rows = _rows_of(first).test
    if digest(rows) != known:
        raise UserError(
            f"versions: the held-out rows of {first.name} have changed since its run; name rows with dataset=FILE"
        )
    return rows, f"the held-out rows of {first.name}"


def _rows_of(side: Side) -> Rows:
    """The rows of a version's run, read again.

    Raises:
        UserError: they can't be.
    """
    try:
        return rows_of(side.params)
    except UserError as error:
        raise UserError(
            f"versions: the rows of {side.name} can't be read again ({first_line(error)}); name rows with dataset=FILE"
        ) from error


def _trained(side: Side) -> list[Row]:
    """The training rows of a version; empty where they can't be read again as they were."""
    try:
        rows = _rows_of(side).train
    except UserError:
        return []
    return rows if digest(rows) == side.version.tags.get("dataset_digest") else []


def _answers(
    location: ModelLocation,
    rows: Sequence[Row],
    trained: Sequence[Row],
    decoding: Decoding,
    max_length: int,
    held: HeldOut,
    setting: str,
) -> Scores:
    """Every metric of the model, those of suites too; it is loaded for this alone, so that only one is in memory."""
    model, tokenizer = load(location)
    room = min(max_length, context_length(model))
    found = score(model, tokenizer, rows, trained, decoding, room, held.has_style)
    chosen = suites.choose(held, setting, sum(each.numel() for each in model.parameters()))
    return with_suites(found, suites.evaluate(LanguageModel(model, tokenizer, decoding), chosen))


def _number(params: Mapping[str, str], name: str) -> int:
    return int(params.get(name, getattr(DEFAULTS, name)))
