"""Starts steps as processes of their own, with the slow imports already done.

Reads one order a line, as JSON, and answers each with one line: ``{"start": {...}}`` forks a process that runs a module
as ``python -m`` would and answers its pid, ``{"poll": pid}`` answers its exit code, or null while it runs. None of the
project's own modules is imported here, so every process reads its environment afresh.
"""

import gc
import json
import os
import resource
import runpy
import signal
import sys

gc.disable()  # it would look at all modules again and again
# ruff: noqa: E402

import datasketch
import fastapi
import git
import matplotlib.backends.backend_agg
import matplotlib.pyplot
import mlflow.pyfunc
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import openai
import peft
import prometheus_client
import sacrebleu
import scipy.stats
import sklearn.feature_extraction.text
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import torch
import transformers.models.gpt2.modeling_gpt2
import transformers.models.gpt2.tokenization_gpt2
import uvicorn
from mlflow.utils import requirements_utils

#: What steps and servers would each import for themselves; no store is opened and no thread started here.
WARM = (datasketch, fastapi, git, matplotlib, mlflow, openai, peft, prometheus_client, sacrebleu, scipy, sklearn, torch)
WARM += (transformers, uvicorn)


def become(order: dict) -> None:
    """Turn this forked process into the one that ``order`` describes."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((0, os.devnull), (1, order["stdout"]), (2, order["stderr"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    if order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], order["largest_file"]))
    sys.argv = [order["module"], *order["argv"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


def serve() -> None:
    print(json.dumps("ready"), flush=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "start" in order:
            answer = os.fork()
            if answer == 0:
                become(order["start"])
                return
        else:
            pid, status = os.waitpid(order["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    requirements_utils._init_modules_to_packages_map()  # MLflow reads all packages' files where it first logs a model
    gc.freeze()  # what is imported stays, so that the collector of a started process need not look at it
    gc.enable()
    serve()
