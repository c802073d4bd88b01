"""What the blind votes are good for: usable pairs, and how many more votes would decide between two versions."""

from collections.abc import Sequence

from data.splits import LEAST_ROWS
from demo.view.charts import interval_bar
from demo.view.html import Markup, fragment
from registry.votes.votes import PairSelection, Standing

#: Fewer pairs can't be divided into training, validation and test.
LEAST_PAIRS = LEAST_ROWS


def summary(selected: PairSelection, pairs: Sequence[Standing], has_start: bool) -> Markup:
    """The panel: counts, what was left out, and for each pair of versions the interval and the votes that are missing.

    Args:
        selected: the preference pairs of the blind votes.
        pairs: the standings of pairs of versions, blind votes.
        has_start: whether a version that was voted on can be trained further.
    """
    count = len(selected.rows)
    return fragment(
        "votes_training.html",
        count=count,
        blind=selected.blind,
        left_out=selected.left_out,
        missing=max(0, LEAST_PAIRS - count),
        least=LEAST_PAIRS,
        has_start=has_start or not selected.blind,
        rows=[(each, _rate(each), interval_bar(each.win_rate, each.interval), _more(each)) for each in pairs],
    )


def _rate(each: Standing) -> str:
    if each.win_rate is None or each.interval is None:
        return "–"
    return f"{each.win_rate:.2f} ({each.interval[0]:.2f} to {each.interval[1]:.2f})"


def _more(each: Standing) -> str:
    if each.more_votes is None:
        return "undecided so far"
    if each.more_votes == 0:
        return "decided"
    return f"{each.more_votes} more vote{'s' * (each.more_votes != 1)}, if the rate stays"
