"""The rows of a run: what is trained, what chooses the checkpoint, what is reported."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data import pirate, splits
from data.conversation import Row, digest
from data.errors import DataError
from data.formats import files
from recipes.sft.config import TuneConfig


@dataclass(frozen=True)
class Rows:
    """Three disjoint lists. ``test_name`` says whence validation and test rows come; ``notes``, what is unused."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    test_name: str
    notes: tuple[str, ...] = ()

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
    validation, test = splits.validation_and_test(held_out)
    return Rows(train, validation, test, name, tuple(dict.fromkeys(notes)))


def _read(place: str, notes: list[str]) -> list[Row]:
    loaded = files.load(place)
    notes += loaded.notes
    return loaded.rows


def has_style(rows: Sequence[Row]) -> Callable[[str], bool] | None:
    """Whether a text is in pirate English, where at least half of the rows' responses are; else None."""
    in_style = sum(pirate.has_pirate_words(row.response) for row in rows)
    return pirate.has_pirate_words if 2 * in_style >= len(rows) else None
