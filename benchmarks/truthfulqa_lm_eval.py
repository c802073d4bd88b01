"""TruthfulQA in the benchmark's own form, beside lm-eval's ``hf`` backend on the same weights.

    python -m benchmarks.truthfulqa_lm_eval --questions mc_task_v1.json --out FILE.jsonl --first 0 --count 50
    python -m benchmarks.truthfulqa_lm_eval --out FILE.jsonl

The first command scores some questions by both and appends one line for each; a question that is in the file is not
scored again. Every command ends with a summary of the file: the largest difference of a choice's log-likelihood, and
MC1 and MC2 by both. Bound: 1e-3 for each. lm-eval (0.4.13, ``pip install lm-eval==0.4.13``) is needed for the first
command only; prompt, examples and scoring on its side are those of its tasks ``truthfulqa_mc1`` and ``truthfulqa_mc2``.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from data.formats import files, truthfulqa
from data.prompts import QA, qa_chat_template
from evals import multiple_choice
from evals.label_likelihood import score_choices
from train.config import FinetuneConfig
from train.finetune import load_base

BOUND = 1e-3
TASKS = ("truthfulqa_mc1", "truthfulqa_mc2")


def tasks(questions: list[dict[str, Any]], folder: Path) -> list[Any]:
    """lm-eval's two tasks as they are in its package, on ``questions`` instead of the hub's data set."""
    import lm_eval
    import yaml
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks.truthfulqa.utils import process_results_mc2

    for row in questions:
        for name in ("mc1_targets", "mc2_targets"):
            row[name] = {"choices": list(row[name]), "labels": list(row[name].values())}
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in questions))
    where = Path(lm_eval.__file__).parent / "tasks" / "truthfulqa" / "truthfulqa_mc1.yaml"
    config = yaml.safe_load(where.read_text())
    for name in ("tag", "dataset_name"):
        config.pop(name)
    config |= {"dataset_path": "json", "dataset_kwargs": {"data_files": {"validation": str(path)}}}
    second = {**config, "task": TASKS[1], "doc_to_choice": "{{mc2_targets.choices}}"}
    return [ConfigurableTask(config=config), ConfigurableTask(config=second | {"process_results": process_results_mc2})]


def by_lm_eval(model: Any, tokenizer: Any, made: list[Any]) -> list[dict[str, Any]]:
    """For each question the log-likelihood of each choice, and both scores."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=8)
    for task in made:
        task.build_all_requests(rank=0, world_size=1)
    requests: dict[tuple[str, str], Instance] = {}  # a choice of both tasks is scored once
    for each in made[1].instances + made[0].instances:
        requests.setdefault(each.args, each)
    found = dict(zip(requests, lm.loglikelihood(list(requests.values())), strict=True))
    rows = []
    for docs in zip(*(task.eval_docs for task in made), strict=True):
        row: dict[str, Any] = {"log_probs": {}}
        for task, doc in zip(made, docs, strict=True):
            mine = sorted((i for i in task.instances if i.doc is doc or i.doc == doc), key=lambda i: i.idx)
            results = [found[each.args] for each in mine]
            row[task.config.task] = float(task.process_results(doc, results)["acc"])
            row["log_probs"] |= dict(zip(task.doc_to_choice(doc), (float(r[0]) for r in results), strict=True))
        rows.append(row)
    return rows


def shots_of(task: Any, folder: Path) -> list[Any]:
    """The examples in the task's prompt, read as a user's file of examples is."""
    before = task.doc_to_text({"question": "?"}).removesuffix("Q: ?\nA:")
    pairs = [each.split("\nA: ") for each in before.strip().removeprefix("Q: ").split("\n\nQ: ")]
    path = folder / "shots.jsonl"
    path.write_text("".join(json.dumps({"prompt": q, "response": a}) + "\n" for q, a in pairs))
    return files.read_rows(str(path))


def score(asked: argparse.Namespace, done: set[str]) -> None:
    """Score the questions that are not in the file yet, and append them."""
    every = json.loads(asked.questions.read_text())
    chosen = [row for row in every[asked.first : asked.first + asked.count] if row["question"] not in done]
    if not chosen:
        return
    base = load_base(FinetuneConfig(base_model=asked.base_model, load="fp32"))
    model, tokenizer = base.model.eval(), base.tokenizer
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "mine.json"
        path.write_text(json.dumps(chosen))
        rows = truthfulqa.read(path)
        made = tasks(chosen, folder)
        start = time.process_time()
        theirs = by_lm_eval(model, tokenizer, made)
        middle = time.process_time()
        tokenizer.chat_template = qa_chat_template(shots_of(made[0], folder))
        ours = score_choices(model, tokenizer, rows, QA)
    seconds = [(middle - start) / len(rows), (time.process_time() - middle) / len(rows)]
    with asked.out.open("a") as lines:
        for row, mine, other in zip(rows, ours, theirs, strict=True):
            assert mine is not None
            record = {
                "question": row.text, "ours": mine, "mc1": float(multiple_choice.mc1(row.mc1, mine)),
                "mc2": multiple_choice.mc2(row.mc2, mine), "theirs": other, "seconds": seconds,
            }  # fmt: skip
            lines.write(json.dumps(record) + "\n")


def summary(records: list[dict[str, Any]]) -> bool:
    """Print the differences and the scores; whether all are within the bound."""
    n = len(records)
    gaps, unscored = [], 0
    for record in records:
        theirs = {text.strip(): value for text, value in record["theirs"]["log_probs"].items()}
        gaps += [abs(value - theirs[text]) for text, value in record["ours"].items()]
        unscored += len(theirs) - len(record["ours"])
    worst = max(gaps)
    print(f"{n} questions, {len(gaps)} choices: log-likelihoods differ by at most {worst:.1e}; {unscored} not scored")
    met = worst <= BOUND
    for key, task in (("mc1", TASKS[0]), ("mc2", TASKS[1])):
        mine, other = (sum(values) / n for values in zip(*((r[key], r["theirs"][task]) for r in records), strict=True))
        met &= abs(mine - other) <= BOUND
        print(f"{key}: {mine:.4f}, lm-eval {other:.4f}, difference {abs(mine - other):.1e}")
    theirs_s, ours_s = (sum(values) / n for values in zip(*(r["seconds"] for r in records), strict=True))
    print(f"CPU seconds a question: {ours_s:.2f}, lm-eval {theirs_s:.2f}; bound {BOUND:g} {'met' if met else 'MISSED'}")
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base_model", default="smollm2")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.questions:
        known = asked.out.read_text().splitlines() if asked.out.exists() else []
        score(asked, {json.loads(line)["question"] for line in known})
    sys.exit(not summary([json.loads(line) for line in asked.out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
