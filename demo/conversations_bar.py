"""The sidebar of saved conversations."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from demo.errors import guarded
from demo.kept import KeptConversations

if TYPE_CHECKING:
    from demo.events import EventHandlers


Redraw = Callable[[Any], None]
Private = dict[str, Any]


class Bar:
    """Lists the saved conversations by their first prompts; a choice opens one, a button deletes it."""

    def __init__(self, do: "EventHandlers") -> None:
        self.kept: KeptConversations = do.kept
        with gr.Sidebar(open=False, elem_id="conversations", label="Conversations"):
            gr.Markdown("### Conversations")
            self.names = gr.Radio(choices=[], show_label=False, elem_id="saved", container=False)
            self.delete = gr.Button("Delete the chosen one", size="sm", elem_id="delete-saved")
        self.id = gr.Textbox(visible="hidden", elem_id="saved-id", show_label=False)

    def connect_list(
        self,
        opened: Any,
        do: "EventHandlers",
        shown: Sequence[Any],
        redraw: Callable[..., None],
        private: Private,
    ) -> None:
        """Fill the list when the page is ``opened``; a choice opens that conversation in the components ``shown``."""
        self._follow(opened, do, private)
        chosen = self.names.input(guarded(do.open_saved, len(shown)), self.names, list(shown), **private)
        redraw(chosen)
        self._follow(chosen, do, private)

        def delete(name: str) -> Any:
            self.kept.delete([name] if name else [])
            return gr.Radio(choices=self.kept.choices(), value=None)

        self.delete.click(delete, self.names, self.names, **private)

    def connect_changes(self, events: Sequence[Any], do: "EventHandlers", private: Private) -> None:
        """After each of ``events``, list the conversations anew and put the open one's id into the address."""
        for event in events:
            self._follow(event, do, private)

    def _follow(self, event: Any, do: "EventHandlers", private: Private) -> None:
        def state(request: gr.Request) -> list[Any]:
            name = do.kept.open_id(request.session_hash or "no session")
            return [gr.Radio(choices=self.kept.choices(), value=name or None), name]

        event.then(state, None, [self.names, self.id], **private).then(
            None, self.id, self.id, js="(id) => parley.keep(id)", api_visibility="private"
        )
