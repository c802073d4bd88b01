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


@dataclass(frozen=True)
class Candidate:
    """A token that could have come next, and its probability, 0 to 1, before temperature and top_p."""

    token_id: int
    text: str
    probability: float


@dataclass(frozen=True)
class TokenScore:
    """One token of a text under two models, which have read the same tokens before it.

    ``log_probs``: the token's log-probability under the first and the other model, in nats. ``tops``: the five
    likeliest tokens of either. ``kl``: Kullback-Leibler divergence of the other model's distribution from the first's,
    sum of p_other * (log p_other - log p_first) over the vocabulary, in nats.
    """

    token_id: int
    text: str
    log_probs: tuple[float, float]
    tops: tuple[tuple[Candidate, ...], tuple[Candidate, ...]]
    kl: float

    @property
    def difference(self) -> float:
        """Log-probability under the other model less that under the first, in nats."""
        return self.log_probs[1] - self.log_probs[0]


def mean_kl(scores: "tuple[TokenScore, ...]") -> float:
    """Mean of the divergences of at least one token, in nats a token."""
    return sum(score.kl for score in scores) / len(scores)
