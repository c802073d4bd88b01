"""``mlflow run . -e votes``: win rates of versions, and people's votes as preference pairs for training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from data.atomic_write import atomic_write
from data.errors import ConfigError, UserError
from steps.cli import main
from steps.flags import parse

if TYPE_CHECKING:
    from registry.votes.votes import Standing, Vote


@dataclass(frozen=True)
class VotesConfig:
    """Win rates of registered versions, and preference pairs for training."""

    register_as: str = "pirate"
    """Name of the registered model whose versions were voted on; empty takes all votes."""
    pairs: Literal["blind", "all"] = "blind"
    """Votes that become preference pairs: those cast before the versions were shown, or all."""
    output: str = ""
    """New JSONL file for preference pairs (prompt, chosen, rejected); empty writes none."""

    def __post_init__(self) -> None:
        if not self.output:
            return
        path = Path(self.output).expanduser()
        if path.suffix.lower() != ".jsonl":
            raise ConfigError(f"output must end in .jsonl, not {path.suffix or path.name!r}")
        if path.exists():
            raise ConfigError(f"output={self.output} exists already; remove it or name another file")
        if not path.parent.is_dir():
            raise ConfigError(f"output={self.output}: there is no folder {path.parent}; make it first")


def votes(argv: list[str]) -> None:
    """Print the standings and write the pairs; no run is left, because nothing is trained."""
    config = parse(VotesConfig, argv)
    from registry import project_run  # after parsing, so that --help and a wrong flag are answered at once
    from registry.votes import store
    from registry.votes.votes import model_of

    project_run.discard_given()
    found = store.load(config.register_as)
    others = [] if found else sorted({model_of(each) for vote in store.load() for each in vote.versions})
    for line in report(found, config.register_as, others):
        print(line)
    if config.output and found:
        print(export(found, config))


def report(found: "list[Vote]", name: str, others: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the report: win rates of the versions, blind votes first; without votes, the models with some."""
    of = f" on {name}" if name else ""
    if not found:
        there_are = f"; there are on {', '.join(others)} (register_as)" if others else ""
        yield f"There are no votes{of} yet{there_are}: open make demo, compare two versions and vote."
        return
    from registry.votes.votes import head_to_head, win_rates

    blind = sum(vote.blind for vote in found)
    yield f"Votes{of}: {blind} blind, {len(found) - blind} with the versions shown"
    for is_blind, title in ((True, "Blind"), (False, "Versions shown")):
        rates = win_rates(found, blind=is_blind)
        if rates:
            yield ""
            yield from _table(title, [(each.version, each) for each in rates])
            pairs = head_to_head(found, blind=is_blind)
            yield ""
            yield from _pairs_table([(f"{each.version} : {each.rival}", each) for each in pairs])


def _table(title: str, rows: "list[tuple[str, Standing]]") -> Iterator[str]:
    width = max(len(name) for name, _ in [(title, None), *rows])
    yield f"{title:<{width}}  wins  losses  ties  both bad  win rate (95 % interval)"
    for name, each in rows:
        rate = "-"
        if each.win_rate is not None and each.interval is not None:
            rate = f"{each.win_rate:.2f} ({each.interval[0]:.2f} to {each.interval[1]:.2f})"
        yield f"{name:<{width}}  {each.wins:4}  {each.losses:6}  {each.ties:4}  {each.both_bad:8}  {rate}"


def _pairs_table(rows: "list[tuple[str, Standing]]") -> Iterator[str]:
    """The same of pairs of versions, with the sign test and how many more votes would decide between the two."""
    title, *lines = _table("Head to head", rows)
    width = max(map(len, (title, *lines)))
    yield f"{title:<{width}}  sign test p  more votes to decide"
    for line, (_, each) in zip(lines, rows, strict=True):
        p = "-" if each.p_value is None else f"{each.p_value:.3f}"
        yield f"{line:<{width}}  {p:>11}  {'-' if each.more_votes is None else each.more_votes:>20}"


def export(found: "list[Vote]", config: VotesConfig) -> str:
    """Write the preference pairs and return a line that says how many, and what was left out and why.

    Raises:
        UserError: no vote makes a pair, or the file can't be written.
    """
    from registry.votes.votes import select_pairs

    selected = select_pairs(found, shown=config.pairs == "all")
    if not selected.rows:
        hint = "" if config.pairs == "all" else " (pairs=all takes those with the versions shown, too)"
        raise UserError(f"output: no vote makes a preference pair{hint}; {selected.line}")
    path = Path(config.output).expanduser()
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in selected.rows)
    try:
        with atomic_write(path) as file:
            file.write_text(lines, encoding="utf-8")
    except PermissionError as error:
        raise UserError(f"output={config.output}: you have no permission to write there") from error
    return f"\nWrote   {path}: {selected.line}"


if __name__ == "__main__":
    main(votes)
