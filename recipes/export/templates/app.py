"""Chat with a fine-tuned model and its base side by side; runs alone, with the files beside it."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

HERE = Path(__file__).resolve().parent
BASE, VERSION = HERE / "base", HERE / "version"
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
MOST_NEW_TOKENS = 512

tokenizer = AutoTokenizer.from_pretrained(VERSION)


def _load() -> tuple[dict[str, tuple[Any, Any]], Any]:
    """For each side its model and the context in which it answers, and the tokens that end an answer."""
    stops = GenerationConfig.from_pretrained(str(VERSION)).eos_token_id
    if (VERSION / "adapter_config.json").is_file():
        from peft import PeftModel

        base = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, str(VERSION)).eval()
        return {"base": (model, model.disable_adapter), "version": (model, nullcontext)}, stops
    sides = {"base": BASE, "version": VERSION} if BASE.is_dir() else {"version": VERSION}
    loaded = {
        side: (AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), nullcontext)
        for side, folder in sides.items()
    }
    return loaded, stops


MODELS, STOPS = _load()


def _answer(side: str, messages: list[dict[str, str]], new_tokens: int) -> dict[str, Any]:
    """Prompt and answer of one side: token ids and the text; greedy."""
    model, active = MODELS[side]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    prompt = torch.tensor([ids])
    settings = {"max_new_tokens": new_tokens, "do_sample": False, "eos_token_id": STOPS}
    with active(), torch.no_grad():
        made = model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), pad_token_id=tokenizer.eos_token_id, **settings
        )
    tokens = made[0, len(ids) :].tolist()
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return {
        "prompt": list(ids),
        "tokens": tokens,
        "text": text,
        "vocabulary": model.get_input_embeddings().weight.shape[0],
    }


def compare(messages: list[dict[str, str]], new_tokens: int) -> dict[str, Any]:
    """The answers of both sides to a conversation in the form of chat messages, for programs."""
    return {side: _answer(side, messages, min(int(new_tokens), MOST_NEW_TOKENS)) for side in MODELS}


def chat(prompt: str, *rest: Any) -> list[Any]:
    """Both conversations with the answers to ``prompt``; the box is emptied."""
    *histories, new_tokens = rest
    answered = []
    for side, history in zip(MODELS, histories, strict=True):
        messages = [{"role": each["role"], "content": _text(each["content"])} for each in history or []]
        messages.append({"role": "user", "content": prompt})
        text = _answer(side, messages, int(new_tokens))["text"].strip()
        answered.append([*messages, {"role": "assistant", "content": text}])
    return ["", *answered]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


with gr.Blocks(title=SETTINGS["title"]) as demo:
    gr.Markdown(f"# {SETTINGS['title']}\n\n{SETTINGS['text']}")
    with gr.Row():
        panes = [gr.Chatbot(label=SETTINGS["labels"][side], height=420) for side in MODELS]
    box = gr.Textbox(label="Prompt", placeholder="Write to both models", submit_btn=True)
    length = gr.Slider(8, 256, value=64, step=8, label="Longest answer, in tokens")
    gr.Examples(SETTINGS["examples"], box)
    box.submit(
        chat,
        [box, *panes, length],
        [box, *panes],
        api_visibility="private",
        concurrency_id="model",
        concurrency_limit=1,
    )
    gr.api(compare, api_name="compare", concurrency_id="model", concurrency_limit=1)

if __name__ == "__main__":
    demo.launch()
