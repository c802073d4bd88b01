"""Names of models: OpenAI's names as aliases of bases, ids of fine-tuned models, and their registered names."""

import re
from collections.abc import Mapping

from recipes.run_names import shown_name
from serve.ids import fresh_id

#: OpenAI's models that can or could be fine-tuned, and those of completions and embeddings; a date may follow.
OPENAI_MODELS = (
    "gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4o", "gpt-4o-mini",
    "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "o4-mini", "gpt-3.5-turbo-instruct", "davinci-002", "babbage-002",
    "text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002",
)  # fmt: skip
_SNAPSHOT = re.compile(rf"({'|'.join(map(re.escape, OPENAI_MODELS))})(?:-\d{{4}}(?:-\d\d-\d\d)?)?")
_REGISTERED_CHARACTERS = 100


class ModelNames:
    """Resolves names to bases.

    Args:
        base_model: the base that OpenAI's own names stand for.
        table: further names and their bases, which take precedence.
    """

    def __init__(self, base_model: str, table: Mapping[str, str]) -> None:
        self.base_model, self.table = base_model, dict(table)
        self._bases: dict[str, str] = {}  # by the names that are shown
        for base in (base_model, "bundled", *table.values()):
            self._bases.setdefault(shown_name(base), base)

    def base_of(self, model: str) -> str | None:
        """The base that ``model`` stands for, or None; a request can use no other base."""
        if model in self.table:
            return self.table[model]
        match = _SNAPSHOT.fullmatch(model)
        if match:
            return self.table.get(match[1], self.base_model)
        return self._bases.get(model)

    def listed(self) -> list[str]:
        """The names that a list of models shows: the bases, then their aliases."""
        return list(dict.fromkeys([*self._bases, *self.table, *OPENAI_MODELS]))


def fine_tuned_name(model: str, organization: str, suffix: str | None) -> str:
    """A new model id in OpenAI's format: ``ft:gpt-4o-mini:parley:my-suffix:7p4lURel``."""
    base, org, given = (_plain(part) for part in (base_part(model), organization, suffix or ""))
    return f"ft:{base}:{org}:{given}:{fresh_id('', 8)}"


def base_part(model: str) -> str:
    """What of a model's name goes into the names of those that are trained from it: of ``ft:BASE:...`` its base."""
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") > 1 else model


def registered_name(model: str, suffix: str | None) -> str:
    """The registered model of a job's versions: ``ft-gpt-4o-mini-my-suffix``. MLflow allows no ``:`` and ``/``.

    Jobs with equal model and suffix register versions of one model.
    """
    parts = ["ft", base_part(model), *([suffix] if suffix else [])]
    return _plain("-".join(parts))[:_REGISTERED_CHARACTERS]


def checkpoint_name(fine_tuned: str, step: int) -> str:
    """The id of a checkpoint before the last."""
    return f"{fine_tuned}:ckpt-step-{step}"


def _plain(text: str) -> str:
    """``text`` with a hyphen for each run of characters that are not ASCII letters, digits, dots or underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")
