"""What models compute beside answers, as plain values that any process can read without PyTorch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RenderedPrompt:
    """The prompt as one model reads it: the conversation in its chat template.

    ``pieces``: (text, whether it is a special token), in order; their texts are the tokens that the model read.
    ``tokens``: how many these are. ``cut``: how many tokens before them were left out because they did not fit into
    ``context``, the model's positions, with the answer.
    """

    pieces: tuple[tuple[str, bool], ...]
    tokens: int
    cut: int
    context: int
