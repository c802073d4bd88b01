"""Does the model of this bundle still answer as it did, and does training it again give the same?

``python reproduce.py`` checks the files' digests, lets the model in ``model/`` answer the conversations of
``transcript.json`` and compares token by token. It needs what requirements.txt names, and no network.

``python reproduce.py --code FOLDER`` trains again with a checkout of Parley in FOLDER (bundle.json names the commit),
by a Python that has the packages of its requirements.txt, in a store of its own under ``again/``; it compares the
digests of rows and base, and the metrics. ``--param NAME=VALUE`` replaces a setting that names a file of another
machine, such as ``--param dataset=rows.jsonl`` where the bundle holds no rows; digests are compared all the same.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
METRIC_TOLERANCE = 0.02
#: Tags that say which rows and which base were trained.
DIGESTS = ("dataset_digest", "validation_digest", "test_digest", "base_digest")


def main() -> int:
    """Run the checks that were asked for; 0 where all is the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", help="a checkout of Parley, to train again")
    parser.add_argument("--param", action="append", default=[], help="with --code: NAME=VALUE instead of the bundle's")
    given = parser.parse_args()
    results = [check_files(), check_answers()]
    if given.code:
        results.append(check_training(Path(given.code).resolve(), dict(each.split("=", 1) for each in given.param)))
    print("The same." if all(results) else "Not the same.")
    return 0 if all(results) else 1


def check_files() -> bool:
    """Whether every file has the digest in files.json."""
    wanted = json.loads((HERE / "files.json").read_text(encoding="utf-8"))
    changed = [name for name, digest in wanted.items() if not _has(HERE / name, digest)]
    print(f"Files     {len(wanted) - len(changed)} of {len(wanted)} have their digest", *changed)
    return not changed


def _has(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest


def check_answers() -> bool:
    """Whether the model's greedy answers are those of the transcript, token for token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(HERE / "model")
    model: Any = AutoModelForCausalLM.from_pretrained(HERE / "model", dtype=torch.float32).eval()
    transcript = json.loads((HERE / "transcript.json").read_text(encoding="utf-8"))
    same = 0
    for item in transcript["items"]:
        found = tokenizer.apply_chat_template(item["messages"], add_generation_prompt=True, return_dict=True)
        prompt = torch.tensor([found["input_ids"]])
        with torch.no_grad():
            made = model.generate(
                input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                max_new_tokens=transcript["max_new_tokens"], pad_token_id=tokenizer.eos_token_id,
            )  # fmt: skip
        same += made[0, prompt.shape[1] :].tolist() == item["tokens"]
    print(f"Answers   {same} of {len(transcript['items'])} are the same, token for token")
    return same == len(transcript["items"])


def check_training(code: Path, given: dict[str, str]) -> bool:
    """Whether a run with the same settings, but for those ``given``, has the same rows and base, and the same metrics.

    Files are ``given`` as paths from the working folder.
    """
    bundle = json.loads((HERE / "bundle.json").read_text(encoding="utf-8"))
    if not bundle["entry"]:
        print("Training  can't be run again: the version comes from no run of -e pirate or -e dpo")
        return False
    again = HERE / "again"
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    _print_commit(code, bundle["tags"].get("git_commit", "unknown"))
    own = {name: _resolved(Path.cwd(), value) for name, value in given.items()}
    params = {name: _resolved(HERE, value) for name, value in bundle["params"].items()}
    params = {**params, **own, "register_as": "again"}
    flags = [word for name, value in params.items() for word in (f"--{name}", value)]
    env = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{again / 'mlflow.db'}",
        "PARLEY_OUTPUTS": str(again / "outputs"),
    }
    done = subprocess.run([sys.executable, "-m", f"steps.{bundle['entry']}", *flags], cwd=code, env=env)
    if done.returncode:
        print(f"Training  ended with exit code {done.returncode}")
        return False
    tags = _tags(env["MLFLOW_TRACKING_URI"])
    digests = [name for name in DIGESTS if name in bundle["tags"]]
    changed = [name for name in digests if tags.get(name) != bundle["tags"][name]]
    moved = [
        f"{name} {value:.3f} -> {tags.get(name, 'none')}"
        for name, value in bundle["metrics"].items()
        if name not in tags or not abs(float(tags[name]) - value) <= METRIC_TOLERANCE
    ]
    print(f"Training  {len(digests) - len(changed)} of {len(digests)} digests are the same", *changed)
    count = len(bundle["metrics"])
    print(f"Metrics   {count - len(moved)} of {count} are the same within {METRIC_TOLERANCE}", *moved, sep="\n  ")
    return not changed and not moved


def _resolved(folder: Path, value: str) -> str:
    """The path of the file in ``folder`` that ``value`` names; other values as they are."""
    return str((folder / value).resolve()) if value and (folder / value).is_file() else value


def _print_commit(code: Path, wanted: str) -> None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=code, capture_output=True, text=True)
    found = done.stdout.strip() or "unknown"
    print(f"Code      commit {found}" + ("" if found == wanted else f"; the bundle's is {wanted}"), flush=True)


def _tags(store: str) -> dict[str, str]:
    from mlflow.tracking import MlflowClient

    (version,) = MlflowClient(store).search_model_versions("name = 'again'")
    return dict(version.tags)


if __name__ == "__main__":
    sys.exit(main())
