"""Under the votes: how many preference pairs they make, how many more votes are worth having, and training on them."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.live_training import LiveTraining
from demo.training import Training, Trainings
from demo.training_tab import starts
from demo.version_cache import VersionCache
from demo.view import votes_training as view
from registry.votes.votes import Vote, head_to_head, model_of, select_pairs

VOTES = "votes"


def is_on_votes(training: Training) -> bool:
    """Whether a training's data are people's votes."""
    return training.record.params.get("dataset") == VOTES


class VotesTraining:
    """Lays the part out and connects it.

    Args:
        votes: all votes in the store.
        open_pair: ``open_pair(event, field, blind)`` opens the two versions that ``field`` names, after ``event``.
    """

    def __init__(
        self,
        trainings: Trainings,
        versions: VersionCache,
        notice: gr.HTML,
        votes: Callable[[], list[Vote]],
        open_pair: Callable[..., None],
    ) -> None:
        self.trainings, self.versions, self.notice = trainings, versions, notice
        self.votes, self.open_pair = votes, open_pair
        self.live = LiveTraining(trainings, notice, "votes-live", is_on_votes)

    def lay_out(self, opened: Sequence[Any]) -> None:
        """Make the controls; at the events ``opened`` the votes are counted anew."""
        self.summary = gr.HTML(elem_id="votes-summary", padding=False)
        with gr.Row(elem_classes="parley-again parley-live-row"):
            self.begin = gr.Dropdown([], label="start from", min_width=180, scale=0, elem_id="votes-begin")
            self.train = gr.Button("Train on these votes", variant="primary", size="sm", scale=0, min_width=150,
                                   interactive=False, elem_id="votes-train")  # fmt: skip
        with gr.Accordion("Trainings on votes", open=False) as self.box:
            self.live.lay_out()
        counted = [self.notice, self.summary, self.begin, self.train]
        gr.on(list(opened), guarded(self.count, len(counted)), None, counted, **PRIVATE)
        self.live.connect(opened)
        outs = [*self.live.outputs, self.box]
        once: dict[str, Any] = {**PRIVATE, "concurrency_limit": 1, "trigger_mode": "once"}
        self.train.click(guarded(self.start, len(outs)), self.begin, outs, **once)
        self.open_pair(self.live.opened, self.live.pair, True)
        self.open_pair(self.live.finished.change(lambda: None, None, None, **PRIVATE), self.live.finished, True)

    def count(self) -> list[Any]:
        """Notice, the summary, the versions to start from, and whether there is enough to train on."""
        votes = [vote for vote in self.votes() if vote.blind]
        selected = select_pairs(votes)
        known = starts(self.versions.entries or self.versions.refresh())
        choices = [name for name in _voted(votes) if (name, name) in known]
        can_train = len(selected.rows) >= view.LEAST_PAIRS and bool(choices)
        begin = gr.Dropdown(choices=choices, value=choices[0] if choices else None)
        text = view.summary(selected, head_to_head(votes), bool(choices))
        return [gr.skip(), text, begin, gr.Button(interactive=can_train)]

    def start(self, begin: str) -> list[Any]:
        """Start the training from the version ``begin`` and follow it."""
        if not begin:
            raise UserError("choose the version that training starts from")
        return [*self.live.show(self.trainings.train_on_votes(begin, model_of(begin))), gr.Accordion(open=True)]


def _voted(votes: Sequence[Vote]) -> list[str]:
    """The versions that votes were cast on, the one with the most votes first; bases and checkpoints are left out."""
    counts: dict[str, int] = {}
    for vote in votes:
        for reference in vote.versions:
            if ":" not in reference:
                counts[reference] = counts.get(reference, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))
