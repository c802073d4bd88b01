"""The sidebar of saved conversations."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.errors import guarded
from demo.kept import session_of
from demo.listeners import PRIVATE

if TYPE_CHECKING:
    from demo.events import EventHandlers


class ConversationsBar:
    """Lists the saved conversations by their first prompts; a choice opens one, a button deletes it."""

    def __init__(self, do: "EventHandlers") -> None:
        self.do = do
        with gr.Sidebar(open=False, elem_id="conversations", label="Conversations"):
            gr.Markdown("### Conversations")
            self.names = gr.Radio(choices=[], show_label=False, elem_id="saved", container=False)
            self.delete = gr.Button("Delete the chosen one", size="sm", elem_id="delete-saved")
        self.id = gr.Textbox(visible="hidden", elem_id="saved-id", show_label=False)

    def connect_list(self, opened: Any, shown: Sequence[Any], redraw: Callable[[Any], None]) -> None:
        """Fill the list when the page is ``opened``; a choice opens that conversation in the components ``shown``."""
        chosen = self.names.input(guarded(self.do.open_saved, len(shown)), self.names, list(shown), **PRIVATE)
        redraw(chosen)

        def delete(request: gr.Request, name: str) -> None:
            if name:
                self.do.kept.delete(session_of(request), name)

        self.connect_changes([opened, chosen, self.delete.click(delete, self.names, None, **PRIVATE)])

    def connect_changes(self, events: Sequence[Any]) -> None:
        """After each of ``events``, list the conversations anew and put the open one's id into the address."""

        def state(request: gr.Request) -> list[Any]:
            name = self.do.kept.open_id(session_of(request))
            return [gr.Radio(choices=self.do.kept.choices(), value=name or None), name]

        for event in events:
            event.then(state, None, [self.names, self.id], **PRIVATE).then(
                None, self.id, self.id, js="(id) => parley.keep(id)", api_visibility="private"
            )
