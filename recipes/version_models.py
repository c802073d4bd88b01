"""Models that the registry names, loaded with tokenizer and chat template."""

from typing import Any

from data.chat_format import direct_template
from inference.loading import load_model, load_tokenizer
from inference.locations import ModelLocation
from inference.precision import choose
from train import base_model


def locate(reference: str) -> ModelLocation:
    """Where the weights of the model are that ``reference`` names.

    Raises:
        UserError: it names nothing, or its weights are unavailable.
    """
    from registry.resolver import Resolver  # MLflow, which loading does not need

    return Resolver(lambda base: base_model.resolve(base).folder).place(reference)


def load(location: ModelLocation) -> tuple[Any, Any]:
    """The model at ``location`` (a PEFT model where it is a LoRA version) and its tokenizer.

    Raises:
        UserError: the files can't be loaded.
    """
    from peft import PeftModel

    assert location.folder and location.base and location.tokenizer
    device = base_model.pick_device()
    model = load_model(location.base, device, choose(location.load, location.base, device))
    if location.info.kind == "lora":
        model = PeftModel.from_pretrained(model, str(location.folder)).eval()
    tokenizer = load_tokenizer(location.tokenizer)
    tokenizer.chat_template = location.template or direct_template(tokenizer)
    return model, tokenizer
