"""The part of the page that follows a training: which one, its state and curve, buttons that stop and resume it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.training import Training, Trainings
from demo.training_progress import progress
from demo.view import training as view
from demo.view.details import notice as line

PERIOD_S = 2.0
HINT = '<p class="parley-hint">Nothing has been trained yet.</p>'


class LiveTraining:
    """Follows one of the newest trainings; what it shows is read from MLflow each time, so a reload loses nothing.

    ``wanted``: which trainings are listed. ``finished``: a hidden field that gets ``START VERSION`` when a training
    that was watched on this page has registered its version; ``START`` is what it began from. ``pair`` gets the same
    at the event ``opened``, when the button for it is pressed.
    """

    def __init__(
        self,
        trainings: Trainings,
        notice: gr.HTML,
        name: str,
        wanted: Callable[[Training], bool] = lambda training: True,
    ) -> None:
        self.trainings, self.notice, self.name, self.wanted = trainings, notice, name, wanted

    def lay_out(self) -> None:
        """Make the controls."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 90, "interactive": False}
        with gr.Row(elem_classes="parley-again parley-live-row"):
            self.which = gr.Dropdown([], label="training", min_width=220, scale=1, elem_id=f"{self.name}-which")
            self.stop = gr.Button("Stop", elem_id=f"{self.name}-stop", **small)
            self.resume = gr.Button("Resume", elem_id=f"{self.name}-resume", **small)
            self.open = gr.Button("Open in chat", elem_id=f"{self.name}-open", **small)
        self.card = gr.HTML(elem_id=f"{self.name}-card", padding=False)
        self.timer = gr.Timer(PERIOD_S, active=False)
        self.watched = gr.State("")
        hidden: dict[str, Any] = {"visible": "hidden", "show_label": False}
        self.finished = gr.Textbox(elem_id=f"{self.name}-finished", **hidden)
        self.pair = gr.Textbox(elem_id=f"{self.name}-pair", **hidden)

    @property
    def outputs(self) -> list[Any]:
        """What ``show`` gives values for."""
        shown = [self.card, self.stop, self.resume, self.open, self.timer, self.watched, self.finished]
        return [self.notice, self.which, *shown]

    def connect(self, opened: Sequence[Any]) -> None:
        """Fill the list at the events ``opened``, follow what is chosen, and connect the buttons."""
        count = len(self.outputs)
        gr.on(list(opened), guarded(self.show, count), None, self.outputs, **PRIVATE)
        self.which.input(guarded(self.show, count), self.which, self.outputs, **PRIVATE)
        follow = guarded(self.follow, count)
        self.timer.tick(follow, [self.which, self.watched], self.outputs, **PRIVATE)
        self.stop.click(guarded(self.request_stop, count), self.which, self.outputs, **PRIVATE)
        self.resume.click(guarded(self.continue_, count), self.which, self.outputs, **PRIVATE)
        self.opened = self.open.click(guarded(self.pair_of, 2), self.which, [self.notice, self.pair], **PRIVATE)

    def show(self, run_id: str = "") -> list[Any]:
        """List the newest trainings and show one: ``run_id``, else one that is going on, else the newest."""
        listed = [each for each in self.trainings.recent() if self.wanted(each)]
        chosen = next((each for each in listed if each.record.run_id == run_id), None)
        chosen = chosen or next((each for each in listed if each.is_live), None) or next(iter(listed), None)
        choices = [(_label(each), each.record.run_id) for each in listed]
        which = gr.Dropdown(choices=choices, value=chosen.record.run_id if chosen else None)
        return ["", which, *self._shown(chosen, "")]

    def follow(self, run_id: str, watched: str) -> list[Any]:
        """The same training again; once it has registered a version, ``finished`` gets it."""
        found = self.trainings.find(run_id)
        if found and watched == run_id and not found.is_live:
            return self._ended(found, run_id)
        return [gr.skip(), gr.skip(), *self._shown(found, watched)]

    def _ended(self, found: Training, run_id: str) -> list[Any]:
        record = found.record
        shown = self.show(run_id)
        if record.version:
            shown[-1] = f"{start_of(found)} {record.version}"
            shown[0] = line("info", f"{record.version} is registered.")
        elif found.state == "stopped":
            shown[0] = line("info", "Stopped. Resume goes on from the last evaluation.")
        return shown

    def request_stop(self, run_id: str) -> list[Any]:
        """Request the training to stop; it shows as stopped once it has."""
        found = self._found(run_id)
        self.trainings.stop(found)
        noted = line("info", "Stopping: what the last evaluation kept stays.")
        return [noted, gr.skip(), *self._shown(found, run_id)]

    def continue_(self, run_id: str) -> list[Any]:
        """Continue a training that was stopped or interrupted."""
        return self.show(self.trainings.resume(self._found(run_id)))

    def pair_of(self, run_id: str) -> list[str]:
        """The version of the training and what it began from, as ``START VERSION``."""
        found = self._found(run_id)
        if not found.record.version:
            raise UserError(f"{found.record.name} has registered no version")
        return ["", f"{start_of(found)} {found.record.version}"]

    def _found(self, run_id: str) -> Training:
        found = self.trainings.find(run_id)
        if found is None:
            raise UserError("choose a training first")
        return found

    def _shown(self, training: Training | None, watched: str) -> list[Any]:
        if training is None:
            off = gr.Button(interactive=False)
            return [HINT, off, off, off, gr.Timer(active=False), "", gr.skip()]
        live = training.is_live
        return [
            view.live(training, progress(training.record)),
            gr.Button(interactive=training.state == "running"),
            gr.Button(interactive=training.can_resume),
            gr.Button(interactive=bool(training.record.version)),
            gr.Timer(active=live),
            training.record.run_id if live else watched,
            gr.skip(),
        ]


def start_of(training: Training) -> str:
    """What the version of a training is compared with: the version that it started from, or its base."""
    return training.record.tags.get("start") or f"{training.record.version}:base"


def _label(training: Training) -> str:
    record = training.record
    when = datetime.fromtimestamp(record.started_s).strftime("%d %b %H:%M")
    mark = view.STATES[training.state][1]
    return " · ".join(filter(None, [f"{mark} {record.name}", record.version, training.state, when]))
