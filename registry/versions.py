"""Registered versions: logged as models, verified by reloading, tagged with their lineage, found by name."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from data.errors import UserError
from registry.runs import Run
from registry.store import connected, is_down, registry_address, without_password

CODE = Path(__file__).with_name("chat_model.py")
LOGITS_TOLERANCE = 1e-4
OPENAI_ID = "openai_id"  # the tag with the id of the model in OpenAI's API
PAGE = 1000  # versions a request
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string")]),
    outputs=Schema([ColSpec("string")]),
    params=ParamSchema([
        ParamSpec("max_new_tokens", "long", 0),  # 0: as configured; MLflow passes defaults, which would override it
        ParamSpec("do_sample", "boolean", False),
        ParamSpec("temperature", "double", 1.0),
        ParamSpec("seed", "long", 0),
    ]),
)  # fmt: skip


@dataclass(frozen=True)
class Version:
    """A registered version, as the registry has it."""

    name: str
    number: int
    run_id: str
    source: str
    tags: dict[str, str]
    aliases: tuple[str, ...]

    @property
    def reference(self) -> str:
        """Name and number as ``pirate/3``."""
        return f"{self.name}/{self.number}"

    @property
    def uri(self) -> str:
        """The URI by which MLflow loads it."""
        return f"models:/{self.reference}"


@dataclass(frozen=True)
class Probe:
    """Outputs of the model in memory, to compare a reloaded one with.

    ``logits``: ``[tokens, vocabulary]`` over ``token_ids``; ``answers``: greedily generated texts to ``prompts``.
    """

    prompts: Sequence[str]
    answers: Sequence[str]
    token_ids: Sequence[int]
    logits: Any


def log_model(run: Run, checkpoint: Path, model_config: Mapping[str, Any], pins: Sequence[str], example: str) -> str:
    """Log ``checkpoint`` under ``run`` as a model and return its URI."""
    with logging_models(run.run_id):
        info = mlflow.pyfunc.log_model(
            name="tuned",
            python_model=str(CODE),
            artifacts={"checkpoint": str(checkpoint)},
            model_config=dict(model_config),
            pip_requirements=list(pins),
            signature=SIGNATURE,
            metadata={"prompt_example": example},
        )
    return info.model_uri


def log_remote(run: Run, model: str, base_model: str, base_url: str = "", max_new_tokens: int = 256) -> str:
    """Log a model behind an OpenAI-compatible API under ``run`` and return its URI; no weights are kept.

    Args:
        model: its id there. ``base_model``: the id of the model that it was made from, there too.
        base_url: address of the API; empty for OpenAI's own. It is kept with the model, the key is not.
        max_new_tokens: the cap of an answer where the caller gives none.
    """
    config = {"kind": "openai", "model": model, "base_model": base_model, "base_url": without_password(base_url)}
    with logging_models(run.run_id):
        info = mlflow.pyfunc.log_model(
            name="tuned",
            python_model=str(CODE),
            model_config={**config, "max_new_tokens": max_new_tokens},
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in ("mlflow", "openai")],
            signature=SIGNATURE,
        )
    return info.model_uri


def verify_remote(uri: str, model: str, base_url: str) -> None:
    """Load the logged model anew and check that it would call ``model`` at that address; no request is sent.

    Raises:
        UserError: it would not, so nothing may be registered.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        config = mlflow.pyfunc.load_model(uri).unwrap_python_model().config
    if (config["model"], config["base_url"]) != (model, without_password(base_url)):
        raise UserError(f"the reloaded model calls {config['model']} and not {model}: nothing was registered")


def verify(uri: str, probe: Probe) -> float:
    """Load the logged model anew and compare it with ``probe``; returns the largest difference of a logit.

    Raises:
        UserError: a greedy text differs, or a logit by more than 1e-4, so nothing may be registered.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loaded = mlflow.pyfunc.load_model(uri)
    chat = loaded.unwrap_python_model()
    worst = float((chat.logits(list(probe.token_ids)) - torch.as_tensor(probe.logits)).abs().max())
    answers = loaded.predict(list(probe.prompts))
    if worst > LOGITS_TOLERANCE or list(answers) != list(probe.answers):
        raise UserError(
            f"the reloaded model is not the trained one (largest logit difference {worst:.2g}): nothing was registered"
        )
    return worst


def register(name: str, uri: str, run_id: str, tags: Mapping[str, Any], description: str) -> Version:
    """Make the logged model at ``uri`` (``models:/m-...``) the next version of ``name``; a run that has one keeps it.

    A run can be killed right after registering and registers again when it is resumed. One run has several versions
    only where they have different ids (the tag ``openai_id``).
    """
    client = MlflowClient()
    for version in versions(name):
        if version.run_id == run_id and version.tags.get(OPENAI_ID) == tags.get(OPENAI_ID):
            return version
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        name,
        uri,
        run_id,
        tags={key: str(value) for key, value in tags.items()},
        description=description,
        model_id=uri.removeprefix("models:/"),  # a tracking server refuses the source without it; a database does not
    )
    return _version(client, made)


def find_alias(name: str, alias: str) -> Version | None:
    """The version of ``name`` that ``alias`` points to, or None."""
    with connected() as client:
        try:
            return _version(client, client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if is_down(error):  # unknown is not None
                raise
            return None


def versions(name: str) -> list[Version]:
    """Every version of ``name``, newest first."""
    return [version for version, _ in search(name)]


def search(name: str = "") -> list[tuple[Version, datetime]]:
    """Every version of every registered model, or of ``name``, and when it was created: names sorted, newest first.

    Raises:
        TrackingUnavailable: the registry does not answer.
    """
    with connected() as client:
        wanted = _named(name)
        pointing: dict[tuple[str, int], list[str]] = {}
        for model in _pages(client.search_registered_models, wanted):  # a search for versions returns no aliases
            for alias, number in sorted(model.aliases.items()):
                pointing.setdefault((model.name, int(number)), []).append(alias)
        found = {}
        for each in _pages(client.search_model_versions, wanted):
            key = (each.name, int(each.version))
            made = datetime.fromtimestamp((each.creation_timestamp or 0) / 1000, UTC)
            found[key] = (_version(client, each, pointing.get(key, ())), made)
    return [found[key] for key in sorted(found, key=lambda key: (key[0], -key[1])) if name in ("", key[0])]


def find_openai(model: str) -> Version | None:
    """The version whose tag ``openai_id`` is ``model``, or None; raises as ``find_tagged``."""
    return find_tagged(OPENAI_ID, model)


def find_tagged(tag: str, value: str) -> Version | None:
    """A version whose ``tag`` is ``value``, or None.

    Raises:
        TrackingUnavailable: the registry does not answer.
    """
    if "'" in value:  # no id has one, and a filter can't hold it
        return None
    with connected() as client:
        found = list(client.search_model_versions(f"tags.{tag} = '{value}'", max_results=1))
        return _version(client, found[0]) if found else None


def description(version: Version) -> str:
    """The card of ``version`` in Markdown; empty where it has none."""
    with connected() as client:
        return client.get_model_version(version.name, str(version.number)).description or ""


def delete(version: Version) -> None:
    """Delete ``version`` from the registry; its run and files stay."""
    with connected() as client:
        client.delete_model_version(version.name, str(version.number))


def set_tags(version: Version, tags: Mapping[str, Any]) -> None:
    """Set ``tags`` of a version that is registered."""
    with connected() as client:
        for key, value in tags.items():
            client.set_model_version_tag(version.name, str(version.number), key, value)


def _named(name: str) -> str:
    if not name or {"'", '"'} <= set(name):  # a filter can't hold both quotes, so all are fetched
        return ""
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _pages(search: Callable[..., Any], filter_string: str) -> Iterator[Any]:
    token = None
    while True:
        page = search(filter_string=filter_string, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def resolve(reference: str) -> Version:
    """The version named by ``pirate/3``, ``pirate@champion``, ``models:/pirate/3`` or ``models:/pirate@champion``.

    Raises:
        UserError: it is none of these, or there is no such version.
        TrackingUnavailable: the registry does not answer.
    """
    match = re.fullmatch(r"(?:models:/)?([^/@:]+)(?:/(\d+)|@([\w-]+))", reference.strip())
    if match is None:
        raise UserError(f"{reference!r} names no version: write pirate/3 or pirate@champion")
    name, number, alias = match.groups()
    with connected() as client:
        try:
            found = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if is_down(error):
                raise
            raise UserError(f"there is no version {reference} in the registry at {registry_address()}") from error
        return _version(client, found)


def _version(client: MlflowClient, found: Any, aliases: Sequence[str] = ()) -> Version:
    names = tuple(found.aliases or aliases)
    return Version(found.name, int(found.version), found.run_id or "", found.source, dict(found.tags), names)


@contextmanager
def logging_models(run_id: str) -> Iterator[None]:
    """Make the run MLflow's active run while a model is logged; its status stays RUNNING.

    MLflow warns of missing type hints and examples, which these models do without, and of model settings that can't
    become params of the run because it has params of these names: both are kept off the screen.
    """
    logger = logging.getLogger("mlflow.models.model")
    level = logger.level
    mlflow.start_run(run_id=run_id)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)
        mlflow.end_run(status="RUNNING")
