"""Tokens of a noisy-labels job at an API and of its evaluation, and their cost."""

from collections.abc import Sequence

from data.labelled import AnyRow
from data.prompts import conversation
from openai_jobs.endpoint import Endpoint
from openai_jobs.prices import Price
from openai_jobs.token_counter import TokenCounter
from recipes import preflight as checks
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData
from recipes.preflight import JobTokens, Preflight

#: The Batch API's price as a share of that of single requests.
BATCH_SHARE = 0.5
#: OpenAI keeps the checkpoints of so many epochs; the last of them is the tuned model itself.
KEPT_CHECKPOINTS = 3


def evaluations(config: NoisyConfig) -> int:
    """How many models predict the rows: the base, the tuned model, and every checkpoint that is kept before it."""
    return 2 + min(config.epochs, KEPT_CHECKPOINTS) - 1


def with_cost(preflight: Preflight, data: NoisyData, config: NoisyConfig, price: Price | None, endpoint: Endpoint,
              counter: TokenCounter) -> Preflight:  # fmt: skip
    """The preflight report with the cost of job and evaluation, and an error where ``budget_usd`` does not cover it."""
    passes = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    share = BATCH_SHARE if config.mode == "batch" else 1.0
    found = JobTokens(*tokens(data, config, counter), passes, counter.how, share)
    return checks.with_cost(preflight, found, config, price, endpoint)


def tokens(data: NoisyData, config: NoisyConfig, counter: TokenCounter) -> tuple[int, int, int]:
    """(tokens trained in all epochs, tokens of all prompts, tokens of all answers at most)."""

    def total(rows: Sequence[AnyRow]) -> int:
        return sum(counter.count(conversation(row, data.labels, data.template)) for row in rows)

    train = data.train.rows
    of_train = total(train)
    memory = min(config.n_memory, len(train))
    models = evaluations(config)
    prompts = models * (total(data.test) + round(of_train * memory / max(len(train), 1)))
    answers = models * (len(data.test) + memory) * config.max_new_tokens
    return of_train * config.epochs, prompts, answers


def label_tokens(data: NoisyData, counter: TokenCounter) -> float:
    """Mean number of tokens of the answers that are trained on."""
    rows = data.train.rows
    return sum(counter.count_text(row.answer(data.labels)) for row in rows) / max(len(rows), 1)
