"""Models with random weights in place of taught ones, logged as versions are."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry import lineage, runs, versions
from registry.versions import Probe

PROMPTS = ("Hello there, friend.", "Where is the boat?")
ANSWER_TOKENS = 6


@dataclass(frozen=True)
class Taught:
    """A model as training leaves it: its checkpoint, the config that it is logged with, and what it says in memory."""

    checkpoint: Path
    model_config: dict[str, Any]
    probe: Probe


@dataclass(frozen=True)
class Logged:
    """A taught model logged under a run of the store at ``tracking_uri``."""

    uri: str
    run: runs.Run
    probe: Probe
    tracking_uri: str


@pytest.fixture(scope="session")
def taught(tiny_base, tmp_path_factory) -> dict[str, Taught]:
    """An adapter and a whole model, by kind, neither of which answers as the base does."""
    import torch

    from data.chat import Row
    from data.template import template_of
    from train import adapt, base
    from train.config import TuneConfig
    from train.evaluate import Decoding, answer

    found = base.resolve(str(tiny_base))
    made = {}
    for kind in ("lora", "full"):
        model, tokenizer = base.load(found, "cpu")
        model = adapt.make_trainable(model, TuneConfig(method=kind, seed=5))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=0.2)
        model.eval()
        checkpoint = tmp_path_factory.mktemp(kind) / "checkpoint"
        adapt.save(model, tokenizer, str(found.folder), checkpoint)
        rows = [Row(((prompt, "-"),)) for prompt in PROMPTS]
        ids = tokenizer(PROMPTS[0])["input_ids"]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        texts = [each.text for each in answer(model, tokenizer, rows, Decoding(ANSWER_TOKENS))]
        config = {
            "kind": kind,
            "base_path": str(found.folder),
            "base_digest": found.digest,
            "chat_template": template_of(tokenizer),
            "max_new_tokens": ANSWER_TOKENS,
        }
        made[kind] = Taught(checkpoint, config, Probe(PROMPTS, texts, ids, logits))
    return made


@pytest.fixture(scope="module")
def logged(taught, settle, tmp_path_factory) -> Iterator[dict[str, Logged]]:
    """Both models, by kind, logged in a store of this module's own."""
    folder = tmp_path_factory.mktemp("logged")
    with pytest.MonkeyPatch.context() as patch:
        uri = settle(folder, patch)
        made = {}
        for kind, each in taught.items():
            run = runs.start("pirate", folder / "outputs")
            logged = versions.log_model(run, each.checkpoint, each.model_config, lineage.pins(), PROMPTS[0])
            made[kind] = Logged(logged, run, each.probe, uri)
        yield made
