"""lm-eval's ``local-completions`` at the server, beside its ``hf`` backend on the same weights in fp32.

    python -m benchmarks.completions_lm_eval [--base smollm2] [--items 40] [--concurrent 4]

Three tasks of local files stand for the kinds of requests that lm-eval makes of likelihoods: the bundled facts as
multiple choice (four log-likelihoods an item), the likelihood of each right answer with whether it is greedy, and the
rolling likelihood of film reviews. ``evaluate`` of lm-eval (0.4.13, requirements-eval.txt) runs them twice. Printed are
the largest difference of one request's log-likelihood, the answers that are greedy by one backend only, and every
metric by both. Bound: 1e-3 for each log-likelihood of a choice; a rolling one is of hundreds of tokens, and its bound
is 1e-3 a word.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.chat_speed import Bound, be_quiet, show
from data import suites
from tests.processes import Launcher
from tests.serve.served import KEY, Served
from train import base_model

ROOT = Path(__file__).resolve().parent.parent
BOUND = 1e-3
REVIEWS = 8  # of the rolling likelihood


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2", help="the base model, as the server's base_model")
    parser.add_argument("--items", type=int, default=40, help="facts")
    parser.add_argument("--concurrent", type=int, default=4, help="requests at once")
    args = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="parley-lm-eval-") as place:
        os.environ |= {"PYTHONPATH": str(ROOT), "OPENAI_API_KEY": KEY, "HF_DATASETS_CACHE": f"{place}/cache"}
        tasks = write_tasks(Path(place), args.items)
        folder = str(base_model.resolve(args.base).folder)
        os.chdir(place)
        launcher = Launcher(Path(place))
        try:
            served = Served(launcher, Path(place), f"sqlite:///{place}/mlflow.db", base_model=args.base, load="fp32")
            remote = run(remote_model(served.start(), folder, args.concurrent), tasks)
        finally:
            launcher.close()
        local = run(local_model(folder), tasks)
    sys.exit(not show(compare(remote, local)))


def write_tasks(place: Path, items: int) -> list[str]:
    """The tasks' YAML files, beside their rows."""
    facts = [json.loads(line) for line in (suites.FOLDER / "facts.jsonl").read_text().splitlines()][:items]
    lines = (suites.FOLDER.parent / "reviews" / "test.jsonl").read_text().splitlines()[:REVIEWS]
    (place / "facts.jsonl").write_text("".join(json.dumps({**row, "right": row["choices"][0]}) + "\n" for row in facts))
    (place / "reviews.jsonl").write_text(
        "".join(json.dumps({"text": json.loads(line)["text"]}) + "\n" for line in lines)
    )
    facts_of = {"doc_to_text": "{{question}}"}
    choice = {**facts_of, "doc_to_choice": "{{choices}}", "doc_to_target": 0, "output_type": "multiple_choice"}
    right = {**facts_of, "doc_to_target": " {{right}}", "output_type": "loglikelihood"}
    rolling = {"doc_to_text": "", "doc_to_target": "{{text}}", "output_type": "loglikelihood_rolling"}
    return [
        _task(place, "choices", "facts", choice, ["acc", "acc_norm"]),
        _task(place, "right", "facts", right, ["acc", "perplexity"]),
        _task(place, "rolling", "reviews", rolling, ["word_perplexity", "bits_per_byte"]),
    ]


def _task(place: Path, name: str, rows: str, how: dict[str, Any], metrics: list[str]) -> str:
    files = {"test": str(place / f"{rows}.jsonl")}
    listed = [{"metric": metric} for metric in metrics]
    task = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": files}, "test_split": "test", **how}
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**task, "metric_list": listed}))
    return str(path)


def remote_model(served: Served, folder: str, concurrent: int) -> Any:
    """lm-eval's client, as ``--model local-completions`` makes it."""
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    client: Any = LocalCompletionsAPI
    return client(
        base_url=f"{served.address}/v1/completions",
        model="gpt-3.5-turbo-instruct",
        tokenizer=folder,
        tokenizer_backend="huggingface",
        num_concurrent=concurrent,
    )


def local_model(folder: str) -> Any:
    """lm-eval's own backend, in fp32."""
    from lm_eval.models.huggingface import HFLM

    backend: Any = HFLM
    return backend(pretrained=folder, device="cpu", dtype="float32", max_length=2047)  # one is generated


def run(model: Any, tasks: list[str]) -> dict[str, Any]:
    """The results of lm-eval, with every request's own."""
    from lm_eval.evaluator import simple_evaluate

    given: Any = tasks
    found: Any = simple_evaluate(model=model, tasks=given, log_samples=True, bootstrap_iters=0)
    return found


def compare(remote: dict[str, Any], local: dict[str, Any]) -> list[Bound]:
    """Print the metrics by both; the differences are the bounds' values."""
    bounds = []
    for task, ours in remote["samples"].items():
        theirs = local["samples"][task]
        apart, greedy, requests = 0.0, 0, 0
        for one, other in zip(ours, theirs, strict=True):
            assert one["doc"] == other["doc"]
            for mine, its in zip(one["resps"], other["resps"], strict=True):
                value, reference = (_value(each[0]) for each in (mine, its))
                tokens = 1 if task != "rolling" else max(1, len(one["doc"]["text"].split()))
                apart = max(apart, abs(value[0] - reference[0]) / tokens)
                greedy += value[1] != reference[1]
                requests += 1
        unit = " a word" if task == "rolling" else ""
        bounds.append(Bound(f"{task}: largest difference of {requests} log-likelihoods{unit}", "<=", BOUND, apart))
        bounds.append(Bound(f"{task}: greedy by one of them only, of {requests}", "<=", 0, greedy))
        for metric, value in remote["results"][task].items():
            if isinstance(value, float):
                print(f"{task} {metric}: {value:.6f} by local-completions, {local['results'][task][metric]:.6f} by hf")
    return bounds


def _value(response: Any) -> tuple[float, str]:
    """(log-likelihood, whether it is greedy) of one request, as lm-eval logs them."""
    pair = response if isinstance(response, list | tuple) else (response, "")
    return float(pair[0]), str(pair[1]) if len(pair) > 1 else ""


if __name__ == "__main__":
    main()
