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

#: What a TF-IDF version has in place of a base model.
BASE_NOTE = "{} starts from no model: its base predicts, for every text, the shares of the labels it was trained on."


def add(columns: Sequence[gr.Dropdown], notice: gr.HTML, limits: RequestLimits) -> gr.Column:
    """Lay the box out; returns it, hidden. The versions chosen in ``columns`` answer."""

    def shown(text: str, *references: str) -> list[Any]:
        problem = prompt_problem(text, limits)
        if problem:
            raise UserError(problem.replace("the prompt", "the text"))
        return ["", classifier.labels(label(text, references))]

    with gr.Column(visible=False, elem_id="classifier") as box:
        text = gr.Textbox(label="text to classify", lines=3, max_lines=8, elem_id="classifier-text")
        button = gr.Button("Classify", variant="primary", elem_id="classify")
        found = gr.HTML(elem_id="classifier-labels", padding=False)
    gr.on([button.click, text.submit], guarded(shown, 2), [text, *columns], [notice, found], **PRIVATE)
    return box


def label(text: str, references: Sequence[str]) -> list[classifier.Answer]:
    """What each version says of ``text``, and ``NAME/N:base`` what its base does; empty references are left out."""
    return [_answer(each, text) for each in references if each]


def _answer(reference: str, text: str) -> classifier.Answer:
    with import_lock:
        from registry.tfidf_versions import label_shares, probabilities
        from registry.versions import resolve
    name, _, part = reference.partition(":")
    try:
        version = resolve(name)
        if version.tags.get("kind") != classifier.CLASSIFIER:
            raise UserError(f"{reference} answers prompts in the chat; it is no classifier of this box")
        if part == "base":
            base = f"base: {version.tags.get('base_model', 'label shares')}"
            return classifier.Answer(base, label_shares(version), note=BASE_NOTE.format(name))
        return classifier.Answer(reference, probabilities(version, text))
    except UserError as error:
        return classifier.Answer(reference, (), problem=str(error))
