"""The rows of a run: what is trained, what chooses the checkpoint, what is reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data import pirate, splits
from data.conversation import Row, digest
from data.errors import DataError
from data.formats import files
from data.near_duplicates import near_duplicates
from recipes.sft.config import TuneConfig
from registry.version_metrics import STYLE


@dataclass(frozen=True)
class Rows:
    """Three disjoint lists. ``test_name`` says whence validation and test rows come; ``notes``, what is unused."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    test_name: str
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> list[Row]:
        """All rows of the three lists."""
        return [*self.train, *self.validation, *self.test]

    def digests(self) -> dict[str, str]:
        """The digest of each list."""
        return {
            "dataset_digest": digest(self.train),
            "validation_digest": digest(self.validation),
            "test_digest": digest(self.test),
        }


def load(config: TuneConfig) -> Rows:
    """Read and check the data sets that ``config`` names.

    Raises:
        DataError: everything that is wrong with them, one line each.
    """
    notes: list[str] = []
    if pirate.is_named(config.dataset):
        train, held_out, name = pirate.named_rows(config.dataset), pirate.test_rows(), "the pirate set's own test rows"
    elif config.test_dataset:
        train, held_out, name = _read(config.dataset, notes), [], ""
    else:
        train, held_out = splits.split(_read(config.dataset, notes))
        name = "a fifth of the rows, chosen by their content"
    if config.test_dataset:
        given = config.test_dataset
        held_out = pirate.test_rows() if pirate.is_named(given) else _read(given, notes)
        name = given
    leaks = splits.overlap(train, held_out)
    if leaks:
        raise DataError(leaks)
    train = without_near_duplicates(train, held_out, notes)
    validation, test = splits.validation_and_test(held_out)
    return Rows(train, validation, test, name, tuple(dict.fromkeys(notes)))


def without_near_duplicates(train: list[Row], held_out: list[Row], notes: list[str]) -> list[Row]:
    """The training rows whose prompts are not nearly those of a held-out row; adds a note on the others.

    Raises:
        DataError: fewer than ``splits.LEAST_TRAIN`` of them.
    """
    near = near_duplicates(_prompts(train), _prompts(held_out))
    if not near:
        return train
    first, other = next(iter(near.items()))
    note = (
        f"{len(near)} training rows have nearly the prompt of a held-out row (the first: {train[first].where} "
        f"{train[first].prompt[:60]!r} and {held_out[other].where} {held_out[other].prompt[:60]!r}): taken out"
    )
    if len(train) - len(near) < splits.LEAST_TRAIN:
        raise DataError([f"{note}, which leaves {len(train) - len(near)}: too few to train on"])
    notes.append(note)
    return [row for i, row in enumerate(train) if i not in near]


def _prompts(rows: Sequence[Row]) -> list[str]:
    """All prompts of each row, as one text."""
    return ["\n".join(prompt for prompt, _ in row.turns) for row in rows]


def _read(place: str, notes: list[str]) -> list[Row]:
    loaded = files.load(place)
    notes += loaded.notes
    return loaded.rows


def has_style(rows: Sequence[Row]) -> Callable[[str], bool] | None:
    """Whether a text is in pirate English, where at least half of the rows' responses are; else None."""
    in_style = sum(pirate.has_pirate_words(row.response) for row in rows)
    return pirate.has_pirate_words if 2 * in_style >= len(rows) else None


def style_tag(rows: Sequence[Row]) -> dict[str, str]:
    """The tag of a version that is trained in the style of ``rows``; none where these have no known style."""
    return {STYLE: "pirate"} if has_style(rows) else {}
