"""What is known of a job before it starts: errors that stop it, warnings, its tokens and its cost."""

from dataclasses import dataclass, field, replace

from data.errors import DataError
from openai_jobs.endpoint import Endpoint
from openai_jobs.prices import Price
from recipes.api_config import ApiConfig


@dataclass(frozen=True)
class Preflight:
    """``errors`` stop the job, ``warnings`` should be read, ``facts`` are its cost and the smallest visible effect.

    ``numbers`` are logged as the metrics ``preflight/NAME``.
    """

    errors: list[str]
    warnings: list[str]
    facts: list[str]
    numbers: dict[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """All lines to print, errors first."""
        errors = [f"Error: {line}" for line in self.errors]
        return errors + [f"Warning: {line}" for line in self.warnings] + self.facts

    def require(self) -> None:
        """Stop if there are errors.

        Raises:
            DataError: holding the errors.
        """
        if self.errors:
            raise DataError(self.errors)


@dataclass(frozen=True)
class JobTokens:
    """Tokens of a job at an API: trained in all passes, in prompts of the evaluation, and in its answers at most.

    ``passes``: over the training rows, in words. ``how``: how they were counted. ``share``: the price of the evaluation
    as a share of that of single requests.
    """

    trained: int
    prompts: int
    answers: int
    passes: str
    how: str
    share: float = 1.0


def with_cost(
    preflight: Preflight, tokens: JobTokens, config: ApiConfig, price: Price | None, endpoint: Endpoint
) -> Preflight:
    """The preflight report with the cost of job and evaluation, and an error where that is above ``budget_usd``."""
    numbers = {**preflight.numbers, "train_tokens": tokens.trained, "asked_tokens": tokens.prompts,
               "answered_tokens": tokens.answers}  # fmt: skip
    facts = [
        f"{tokens.trained:,} tokens to train on in {tokens.passes}, {tokens.prompts:,} in prompts of the evaluation, "
        f"at most {tokens.answers:,} in answers ({tokens.how})"
    ]
    errors, warnings = list(preflight.errors), list(preflight.warnings)
    if config.provider == "parley":
        facts.append("no cost: it runs on this machine")
    elif price is None:
        line = f"no price of {config.remote_model} is known: give a table with it, prices=FILE"
        (errors if config.budget_usd else warnings).append(line)
    else:
        training = price.training(tokens.trained)
        cost = numbers["cost"] = training + tokens.share * price.evaluation(tokens.prompts, tokens.answers)
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
