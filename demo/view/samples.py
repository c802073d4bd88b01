"""Several answers to one prompt as HTML, a panel a pane: rates, equal answers with their counts, first tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from demo.samples import Rate, SampledSide
from demo.view.charts import interval_bar
from demo.view.html import Markup, fragment
from demo.view.panes import visible

if TYPE_CHECKING:
    from demo.conversation import Conversation

MOST_GROUPS, MOST_TOKENS = 6, 8


def summary(chat: "Conversation") -> Markup:
    """The samples of the last prompt, pane by pane; how many have ended while they are generated."""
    found = chat.samples
    if found is None:
        return Markup("")
    ended, every = found.ended
    if ended < every:
        return Markup('<p class="parley-soft" role="status">{} of {} answers have ended</p>').format(ended, every)
    sides = [
        (model.reference, _shown(found.side(pane, chat.behaviour)))
        for pane, model in enumerate(chat.models)
    ]  # fmt: skip
    last = found.first_seed + len(found.replies) - 1
    return fragment("samples.html", sides=sides, count=len(found.replies), first=found.first_seed, last=last)


def _shown(side: SampledSide) -> dict[str, object]:
    """A panel's parts as the template takes them."""
    return {
        "n": side.n,
        "failed": side.failed,
        "rates": [(rate.label, _rate_text(rate), interval_bar(rate.hits / rate.n, (rate.low, rate.high)))
                  for rate in side.rates],
        "answers": side.answers[:MOST_GROUPS],
        "different": len(side.answers),
        "tokens": [(visible(text), count, f"{100 * count / max(1, side.n):.1f}")
                   for text, count in side.first_tokens[:MOST_TOKENS]],
        "rest": _rest(side.first_tokens),
    }  # fmt: skip


def _rate_text(rate: Rate) -> str:
    return f"{rate.hits} of {rate.n} ({rate.low:.0%} to {rate.high:.0%})"


def _rest(tokens: Sequence[tuple[str, int]]) -> str:
    later = tokens[MOST_TOKENS:]
    return f"{len(later)} other first tokens: {sum(count for _, count in later)} answers" if later else ""
