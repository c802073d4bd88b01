"""A registered version that costs no training: a bare PEFT adapter with random weights on the tests' tiny base."""

from pathlib import Path

NAME = "pirate"


def register_adapter(base: Path, folder: Path, seed: int = 5, name: str = NAME) -> str:
    """Make a LoRA adapter for ``base`` in ``folder`` and register it; returns its reference, ``pirate/1`` at first."""
    import contextlib

    import torch
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    from inference.weights import weights_digest
    from recipes.sft.config import TuneConfig
    from train import trainable
    from train.base_model import load, resolve

    model, tokenizer = load(resolve(str(base)), "cpu")
    torch.manual_seed(seed)
    model = trainable.make_trainable(model, TuneConfig(seed=seed))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    checkpoint = folder / f"adapter-{name}-{seed}"
    trainable.save(model, tokenizer, str(base), checkpoint)
    client = MlflowClient()
    with contextlib.suppress(MlflowException):  # it is there already
        client.create_registered_model(name)
    tags = {"kind": "lora", "base_model": str(base), "base_digest": weights_digest(base), "verdict": "healthy"}
    made = client.create_model_version(name, checkpoint.as_uri(), tags=tags)
    return f"{name}/{made.version}"
