"""The box that classifiers get in place of a chat: a text in, its labels with their probabilities out."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.errors import guarded
from demo.lazy import import_lock
from demo.limits import RequestLimits, prompt_problem
from demo.listeners import PRIVATE
from demo.view import classifier


def add(columns: Sequence[gr.Dropdown], notice: gr.HTML, limits: RequestLimits) -> gr.Column:
    """Lay the box out; returns it, hidden. The versions chosen in ``columns`` answer."""

    def label(text: str, *references: str) -> list[Any]:
        problem = prompt_problem(text, limits)
        if problem:
            raise UserError(problem.replace("the prompt", "the text"))
        return ["", classifier.labels([_answer(each, text) for each in references if each])]

    with gr.Column(visible=False, elem_id="classifier") as box:
        text = gr.Textbox(label="text to classify", lines=3, max_lines=8, elem_id="classifier-text")
        button = gr.Button("Classify", variant="primary", elem_id="classify")
        found = gr.HTML(elem_id="classifier-labels", padding=False)
    gr.on([button.click, text.submit], guarded(label, 2), [text, *columns], [notice, found], **PRIVATE)
    return box


def _answer(reference: str, text: str) -> tuple[str, list[tuple[str, float]], str]:
    with import_lock:
        from registry.tfidf_versions import probabilities
        from registry.versions import resolve
    try:
        version = resolve(reference.partition(":")[0])
        if version.tags.get("kind") != classifier.CLASSIFIER:
            raise UserError(f"{reference} is no classifier")
        return reference, probabilities(version, text), ""
    except UserError as error:
        return reference, [], str(error)
