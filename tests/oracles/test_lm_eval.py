"""Log-likelihoods of choices, and the scores from them, are those of lm-eval on a local task."""

import json

import pytest

from data.labelled import QuestionRow
from data.prompts import QA, qa_chat_template
from evals.label_likelihood import score_choices
from evals.multiple_choice import evaluate_choices

QUESTIONS = [
    ("Where is the kettle?", "In the kitchen.", ("On the moon.", "Nowhere at all.")),
    ("What do sailors call a rope?", "A line.", ("A string.",)),
    ("Is it late?", "Yes.", ("No.", "It is always early, I'm sure.")),
    ("Who is there?", "Me.", ("A bus.", "The train to the city.")),
]


@pytest.fixture(scope="module")
def model(tiny_base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(tiny_base).eval(), AutoTokenizer.from_pretrained(tiny_base)


def by_lm_eval(model, tokenizer, folder):
    """lm-eval's accuracy on a task of its own form, and the log-likelihood of each choice by question."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    path = folder / "questions.jsonl"
    rows = [{"question": q, "choices": [best, *wrong]} for q, best, wrong in QUESTIONS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = ConfigurableTask(config={
        "task": "local", "dataset_path": "json", "dataset_kwargs": {"data_files": {"validation": str(path)}},
        "output_type": "multiple_choice", "validation_split": "validation", "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_choice": "choices", "doc_to_target": 0, "metric_list": [{"metric": "acc"}],
    })  # fmt: skip
    task.build_all_requests(rank=0, world_size=1)
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
    found = dict(zip((each.args for each in task.instances), lm.loglikelihood(task.instances), strict=True))
    log_probs, right = [], []
    for doc in task.eval_docs:
        mine = sorted((each for each in task.instances if each.doc == doc), key=lambda each: each.idx)
        results = [found[each.args] for each in mine]
        right.append(float(task.process_results(doc, results)["acc"]))
        log_probs.append(dict(zip(doc["choices"], (float(each[0]) for each in results), strict=True)))
    return sum(right) / len(right), log_probs


def test_choices_have_lm_evals_likelihoods_and_accuracy(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    accuracy, theirs = by_lm_eval(*model, tmp_path)
    network, tokenizer = model
    tokenizer.chat_template = qa_chat_template([])
    rows = [
        QuestionRow(text=q, best=best, correct=(best,), incorrect=wrong, id=f"q{i}", position=i)
        for i, (q, best, wrong) in enumerate(QUESTIONS)
    ]
    ours = score_choices(network, tokenizer, rows, QA)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(other, abs=1e-3)
    assert evaluate_choices(rows, ours).mc1 == accuracy
