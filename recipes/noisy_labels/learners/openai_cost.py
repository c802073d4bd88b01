"""Tokens of a job at an API, by the model's own vocabulary where it is installed, and their cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from data.chat_template import SPECIAL_TOKENS, pieces, segments
from data.conversation import Row
from data.labelled import AnyRow
from data.prompts import Counter, conversation
from inference.loading import load_tokenizer
from openai_jobs.endpoint import Endpoint
from openai_jobs.prices import Price
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData
from recipes.noisy_labels.preflight import TOKENS_PER_ANSWER, TOKENS_PER_MESSAGE, Preflight, estimated_tokens
from train import base_model

#: Maximum tokens of a training example by the beginning of the model's name; longer ones are truncated silently.
LONGEST = {"gpt-3.5-turbo-0613": 4096, "gpt-3.5": 16385, "gpt-4o": 65536, "gpt-4.1": 65536}
LONGEST_ELSEWHERE = 8192
#: The Batch API's price as a share of that of single requests.
BATCH_SHARE = 0.5
#: OpenAI keeps the checkpoints of so many epochs; the last of them is the tuned model itself.
KEPT_CHECKPOINTS = 3
#: Labels are common words, most of them one token of their own where running text has four characters a token.
LABEL_CHARACTERS = 6
NO_NETWORK = "the vocabulary is not on this machine"


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens of conversations and of single texts; ``how`` describes the method.

    ``special_tokens``: strings that no text may hold.
    """

    count: Counter
    count_text: Callable[[str], int]
    how: str
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS


def token_counter(model: str) -> TokenCounter:
    """The model's own vocabulary where tiktoken has it on this machine, else four characters a token."""
    encoding = _encoding(model)
    if encoding is None:
        return TokenCounter(
            estimated_tokens,
            lambda text: max(1, round(len(text) / LABEL_CHARACTERS)),
            "about, by 4 characters a token: no vocabulary here",
        )

    def count_text(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    def count(row: Row) -> int:
        texts = [text for text in (row.system, *sum(row.turns, ())) if text]
        return sum(count_text(text) + TOKENS_PER_MESSAGE for text in texts) + TOKENS_PER_ANSWER

    return TokenCounter(count, count_text, f"by tiktoken's {encoding.name}")


def base_token_counter(name: str) -> TokenCounter:
    """The tokens of the base model ``name``, chat template included: what a server of our own trains on.

    Raises:
        UserError: the base can't be had.
    """
    tokenizer = load_tokenizer(base_model.resolve(name).folder)
    special = tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)

    def count(row: Row) -> int:
        return sum(len(piece) for _, piece in pieces(segments(tokenizer, row.turns, row.system), tokenizer))

    def count_text(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return TokenCounter(count, count_text, f"by {name}'s own", (*SPECIAL_TOKENS, *special))


@lru_cache(4)
def _encoding(model: str) -> Any:
    """tiktoken's encoding for the model if its file is in tiktoken's cache; no download is tried, it could hang."""
    import tiktoken
    import tiktoken.load

    def refuse(blobpath: str) -> bytes:
        raise FileNotFoundError(NO_NETWORK)

    before = tiktoken.load.read_file
    tiktoken.load.read_file = refuse  # it has no switch of its own for this
    try:
        return tiktoken.encoding_for_model(model)
    except (KeyError, OSError, ValueError):
        return None
    finally:
        tiktoken.load.read_file = before


def longest(model: str) -> int:
    """Tokens of the longest example that the model is trained on uncut."""
    plain = model.split(":")[1] if model.startswith("ft:") else model
    named = [name for name in LONGEST if plain.startswith(name)]
    return LONGEST[max(named, key=len)] if named else LONGEST_ELSEWHERE


def evaluations(config: NoisyConfig) -> int:
    """How many models predict the rows: the base, the tuned model, and every checkpoint that is kept before it."""
    return 2 + min(config.epochs, KEPT_CHECKPOINTS) - 1


def with_cost(preflight: Preflight, data: NoisyData, config: NoisyConfig, price: Price | None, endpoint: Endpoint,
              counter: TokenCounter) -> Preflight:  # fmt: skip
    """The preflight report with the cost of job and evaluation, and an error where that is above ``budget_usd``."""
    trained, prompts, answers = tokens(data, config, counter)
    passes = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    numbers = {**preflight.numbers, "train_tokens": trained, "asked_tokens": prompts, "answered_tokens": answers}
    facts = [
        f"{trained:,} tokens to train on in {passes}, {prompts:,} in prompts of the evaluation, at most {answers:,} in "
        f"answers ({counter.how})"
    ]
    errors, warnings = list(preflight.errors), list(preflight.warnings)
    if config.provider == "parley":
        facts.append("no cost: it runs on this machine")
    elif price is None:
        line = f"no price of {config.remote_model} is known: give a table with it, prices=FILE"
        (errors if config.budget_usd else warnings).append(line)
    else:
        training = price.training(trained)
        share = BATCH_SHARE if config.mode == "batch" else 1.0
        cost = numbers["cost"] = training + share * price.evaluation(prompts, answers)
        facts.append(_cost_line(price, training, cost, endpoint))
        if config.budget_usd and cost > config.budget_usd:
            estimate = f"the job is estimated at {cost:,.2f} {price.currency}"
            errors.append(f"budget_usd={config.budget_usd:g}: {estimate}; nothing was sent")
    return replace(preflight, errors=errors, warnings=warnings, facts=[*preflight.facts, *facts], numbers=numbers)


def _cost_line(price: Price, training: float, cost: float, endpoint: Endpoint) -> str:
    source = "" if endpoint.is_openai else f"; OpenAI's, {endpoint.name} may have others"
    return (
        f"about {cost:,.2f} {price.currency} ({training:,.2f} training, {cost - training:,.2f} evaluation), by the "
        f"prices of {price.as_of} for {price.model}{source}"
    )


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
