"""The model that every version is logged as: one file that loads without the rest of the project.

MLflow runs this file to make the model (models-from-code), so nothing is pickled. ``model_config`` holds
``kind`` (lora, full or openai), ``base_path``, ``base_digest`` and ``load`` (lora; how the base's weights are held:
bf16, fp32 or 4bit), ``chat_template`` and ``stop_token_ids``, the tokens that end an answer (lora and full; versions
made before 2026-11-27 have no such list and no ``load``), ``thought_end``, the text between a thought and the answer
(empty for models without thoughts),
``model`` and ``base_url`` (openai: a model behind an OpenAI-compatible API, whose key is in the environment as
``OPENAI_API_KEY``) and ``max_new_tokens``; each can be overridden at load time, as in
``load_model(uri, model_config={"base_path": ...})``.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel


class ChatModel(PythonModel):
    """Answers prompts, one turn each, greedily unless ``do_sample`` says otherwise."""

    # predict has no annotations: with them MLflow drops the signature's params. This stops its hint at every load.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the weights, unless the model is remote."""
        self.config = context.model_config
        self.max_new_tokens = int(self.config["max_new_tokens"])
        if self.config["kind"] != "openai":
            self._load_weights(context)

    def _load_weights(self, context: Any) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        config = self.config
        checkpoint = context.artifacts["checkpoint"]
        lora = config["kind"] == "lora"
        folder = config["base_path"] if lora else checkpoint
        if lora:
            _check_base(folder, config["base_digest"])
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **_types(config.get("load")))
        for tensor in model.parameters():
            if tensor.is_floating_point():  # the same weights, multiplied in float32 on whatever machine
                tensor.data = tensor.data.float()
        for module in model.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):  # of bitsandbytes: it rounds the activations
                vars(module)["support_avx512bf16_for_cpu"] = False
        if lora:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, checkpoint)
        self.model = model.eval()
        self.template = config["chat_template"]
        self.stop_token_ids = list(config.get("stop_token_ids") or [self.tokenizer.eos_token_id])

    def predict(self, context, model_input, params=None):
        """One answer a prompt; ``model_input`` is a list of texts or a table whose first column holds them."""
        prompts = model_input.iloc[:, 0].tolist() if hasattr(model_input, "iloc") else list(model_input)
        generate = self.request if self.config["kind"] == "openai" else self.answer
        return [generate(str(prompt), params or {}) for prompt in prompts]

    def request(self, prompt: str, params: Mapping[str, Any]) -> str:
        """The remote model's answer to one prompt; the API does not promise that equal seeds give equal answers."""
        import openai

        if not os.environ.get("OPENAI_API_KEY"):
            raise RuntimeError(f"set OPENAI_API_KEY to use {self.config['model']}; it is a remote model")
        with openai.OpenAI(base_url=self.config.get("base_url") or None, timeout=60) as client:
            done = client.chat.completions.create(
                model=self.config["model"],
                messages=[{"role": "user", "content": prompt}],
                max_tokens=int(params.get("max_new_tokens") or self.max_new_tokens),
                temperature=temperature_of(params),
                seed=int(params.get("seed") or 0),
            )
        return (done.choices[0].message.content or "").strip()

    def answer(self, prompt: str, params: Mapping[str, Any]) -> str:
        """The answer to one prompt; ``params`` may hold max_new_tokens, do_sample, temperature and seed."""
        import torch

        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            chat_template=self.template,
            tokenize=False,
            add_generation_prompt=True,
        )
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:1] != [bos] and self.tokenizer("a")["input_ids"][:1] == [bos]:
            ids = [bos, *ids]
        room = int(params.get("max_new_tokens") or self.max_new_tokens)
        limit = getattr(self.model.config, "max_position_embeddings", None) or 2048
        ids = torch.tensor([ids[-max(1, limit - room) :]])
        torch.manual_seed(int(params.get("seed") or 0))
        temperature = temperature_of(params)
        with torch.no_grad():
            out = self.model.generate(  # pyright: ignore[reportAttributeAccessIssue]
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=room,
                do_sample=temperature > 0,
                eos_token_id=self.stop_token_ids,
                pad_token_id=self.tokenizer.eos_token_id,
                **({"temperature": temperature} if temperature > 0 else {}),
            )
        return self.visible_text(out[0, ids.shape[1] :]).strip()

    def visible_text(self, token_ids: Any) -> str:
        """The text of generated tokens, without what the model thought before its answer."""
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        if not self.config.get("thought_end"):
            return text
        _, found, after = self.tokenizer.decode(token_ids).partition(self.config["thought_end"])
        for token in self.tokenizer.added_tokens_decoder.values():
            after = after.replace(token.content, "") if token.special else after
        return after if found else text

    def logits(self, token_ids: Sequence[int]) -> Any:
        """Logits ``[tokens, vocabulary]`` of one sequence of token ids, to verify a reloaded model by."""
        import torch

        with torch.no_grad():
            return self.model(input_ids=torch.tensor([token_ids])).logits[0]


def _types(load: str | None) -> dict[str, Any]:
    """What ``from_pretrained`` takes for weights held as ``load`` says: fp32 (or None), bf16 or 4bit."""
    import torch

    dtype = torch.bfloat16 if load in ("bf16", "4bit") else torch.float32
    if load != "4bit":
        return {"dtype": dtype}
    from transformers import BitsAndBytesConfig

    compute = torch.float32
    quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    return {"dtype": dtype, "quantization_config": quantised, "device_map": {"": "cpu"}}


def temperature_of(params: Mapping[str, Any]) -> float:
    """The temperature to sample with: 1 unless it is given, and 0, which is greedy, without ``do_sample``."""
    if not params.get("do_sample", False):
        return 0.0
    given = params.get("temperature")
    return 1.0 if given is None else float(given)


def _check_base(folder: str, digest: str) -> None:
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(
            f"the base model of this adapter is not at {folder}; "
            'name its folder: load_model(uri, model_config={"base_path": ...})'
        )
    state = hashlib.sha256()
    for path in files:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                state.update(chunk)
    if state.hexdigest()[:16] != digest:
        raise ValueError(f"{folder} holds other weights than those this adapter was trained on ({digest})")


mlflow.models.set_model(ChatModel())
