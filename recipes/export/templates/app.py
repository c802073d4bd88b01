"""Chat with a fine-tuned model and its base side by side; runs alone, with the files beside it."""

import json
from collections.abc import Iterator
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
HEIGHT = "clamp(14rem, 42vh, 36rem)"
THEME = gr.themes.Base(primary_hue=gr.themes.colors.cyan, neutral_hue=gr.themes.colors.slate)

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
    """Prompt and answer of one side: token ids and the text; greedy.

    Raises:
        gr.Error: the conversation and its answer are longer than the model's positions.
    """
    model, active = MODELS[side]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and len(ids) + new_tokens > positions:
        raise gr.Error(f"The conversation is too long for a model of {positions} tokens: start a new one.")
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


def chat(prompt: str, *rest: Any) -> Iterator[list[Any]]:
    """Both conversations with ``prompt``, then with one side's answer after the other; the box is emptied."""
    *histories, new_tokens = rest
    if not prompt.strip():
        yield [prompt, *histories]
        return
    question = {"role": "user", "content": prompt}
    shown = [
        [*({"role": each["role"], "content": _text(each["content"])} for each in history or []), question]
        for history in histories
    ]
    yield ["", *shown]
    for i, side in enumerate(MODELS):
        answer = _answer(side, shown[i], int(new_tokens))["text"].strip()
        shown[i] = [*shown[i], {"role": "assistant", "content": answer or "(an empty answer)"}]
        yield ["", *shown]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


CSS = """
.gradio-container { max-width: 76rem !important; margin: 0 auto !important; }
.title h1 { font-size: 1.6rem; letter-spacing: -.02em; margin: .6rem 0 .1rem; }
.title p { color: var(--body-text-color-subdued); margin: 0; }
.pane { border-radius: 12px; border-top: 4px solid var(--neutral-400) !important; }
.pane.version { border-top-color: var(--primary-500) !important; }
.pane .message { font-size: 1rem; line-height: 1.5; }
footer { display: none !important; }
"""

with gr.Blocks(title=SETTINGS["title"]) as demo:
    gr.Markdown(f"# {SETTINGS['title']}\n\n{SETTINGS['text']}", elem_classes="title")
    with gr.Row(equal_height=True):
        panes = [
            gr.Chatbot(
                label=SETTINGS["labels"][side],
                height=HEIGHT,
                min_width=280,
                elem_classes=["pane", side],
                placeholder="Its answers come here.",
            )
            for side in MODELS
        ]
    with gr.Row(equal_height=True):
        box = gr.Textbox(
            show_label=False,
            placeholder="Write to both models",
            submit_btn=True,
            scale=8,
            autofocus=True,
            max_length=4000,
        )
        fresh = gr.Button("New chat", scale=1, min_width=110)
    gr.Examples(SETTINGS["examples"], box, label="For example")
    length = gr.Slider(8, MOST_NEW_TOKENS, value=64, step=8, label="Longest answer, in tokens")
    box.submit(
        chat,
        [box, *panes, length],
        [box, *panes],
        api_visibility="private",
        concurrency_id="model",
        concurrency_limit=1,
    )
    fresh.click(lambda: [None] * len(panes), None, panes, api_visibility="private", queue=False)
    gr.api(compare, api_name="compare", concurrency_id="model", concurrency_limit=1)

if __name__ == "__main__":
    demo.launch(theme=THEME, css=CSS)
