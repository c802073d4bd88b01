"""Which rows a report shows, by rules: best, median and worst, every failure, then all others. Never picked by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from recipes.html_report.facts import Item, ReportFacts

#: A smaller difference between two rows' scores is a tie.
TIE = 1e-9


@dataclass(frozen=True)
class Examples:
    """``chosen``: (rule, item) of the best, the median and the worst; ``failures``: flagged answers of the second
    model, in the order of the rows; ``others``: all other rows. ``rule`` says in words how they were chosen.
    """

    chosen: tuple[tuple[str, Item], ...]
    failures: tuple[Item, ...]
    others: tuple[Item, ...]
    rule: str


@dataclass(frozen=True)
class Won:
    """The winner of one row: the name of a side or ``tie``, and by how much its score is better; None if undefined."""

    item: Item
    winner: str
    margin: float | None


def choose(facts: ReportFacts) -> Examples:
    """The examples of a run: ordered by the score of the tuned answers, equal ones by their place."""
    names = ("best", "median", "worst")
    scored = [item for item in facts.items if item.after_score is not None]
    ordered = sorted(scored, key=lambda item: ((item.after_score or 0.0) * _sign(facts), item.number))
    places = (0, len(ordered) // 2, len(ordered) - 1) if ordered else ()
    chosen: dict[int, tuple[str, Item]] = {}
    for name, place in zip(names, places, strict=False):
        item = ordered[place]
        known = chosen.get(item.number)
        chosen[item.number] = (f"{known[0]} and {name}" if known else name, item)
    failures = tuple(item for item in facts.items if item.after_flags)
    taken = {*chosen, *(item.number for item in failures)}
    others = tuple(item for item in facts.items if item.number not in taken)
    rule = (
        f"Chosen by rule: the best, the median and the worst of {len(scored):,} rows by {facts.order} of the "
        f"{facts.sides[1]} model, the first of equal ones; then every failure; then all other rows in their order."
    )
    return Examples(tuple(chosen.values()), failures, others, rule)


def winners(facts: ReportFacts) -> tuple[Won, ...]:
    """Who won each row, the largest margins of the second model first and those of the first model last."""
    found = [_won(item, facts) for item in facts.items]
    return tuple(sorted(found, key=lambda won: (-_lead(won, facts), won.item.number)))


def counts(won: Sequence[Won], facts: ReportFacts) -> dict[str, int]:
    """How many rows each side won, and how many are ties."""
    names = (facts.sides[1], facts.sides[0], "tie")
    return {name: sum(each.winner == name for each in won) for name in names}


def _won(item: Item, facts: ReportFacts) -> Won:
    if item.before_score is None or item.after_score is None:
        return Won(item, "tie", None)
    lead = (item.before_score - item.after_score) * _sign(facts)
    if abs(lead) <= TIE:
        return Won(item, "tie", 0.0)
    return Won(item, facts.sides[1] if lead > 0 else facts.sides[0], abs(lead))


def _lead(won: Won, facts: ReportFacts) -> float:
    return (won.margin or 0.0) * (1 if won.winner == facts.sides[1] else -1)


def _sign(facts: ReportFacts) -> int:
    """Which way scores are sorted so that the best comes first."""
    return 1 if facts.lowest_is_best else -1
