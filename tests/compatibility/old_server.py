"""The server of commit 47ebf1d on a ``serve.db``: filled, killed in the middle of a job, and started again."""

import contextlib
import json
import shutil
import sqlite3
import time
from typing import Any

from old_code import CODE, ENVIRONMENT, STORE, flags, step

QUESTION = "Where is the boat? (3)"  # one of the rows that its jobs were trained on


class OldServer:
    """The server of the old code on ``serve.db``."""

    def __init__(self) -> None:
        from tests.processes import Launcher
        from tests.serve.served import Served

        shutil.rmtree(CODE.parent / "logs", ignore_errors=True)
        (CODE.parent / "logs").mkdir()
        self.key = step("serve", flags(database="sqlite:///serve.db", new_key="alice")).split()[-1]
        self.served = Served(Launcher(CODE.parent / "logs"), STORE, ENVIRONMENT["MLFLOW_TRACKING_URI"],
                             base_model=STORE / "base", checkpoints=2)  # fmt: skip

    def fill(self) -> dict[str, Any]:
        """A file, a finished job, a finished batch, and a job that runs when the server is killed."""
        from tests.processes import wait_until
        from tests.serve.served import ended, upload

        client = self.served.start().client(self.key)
        rows = upload(client)
        done = ended(client, self.create(client, rows, 12))
        assert done.status == "succeeded"
        batch = self.batch(client, done.fine_tuned_model)
        checkpoints = client.fine_tuning.jobs.checkpoints.list(done.id)
        found = {
            "key": self.key,
            "file": rows,
            "job": done.id,
            "model": done.fine_tuned_model,
            "checkpoints": [each.fine_tuned_model_checkpoint for each in checkpoints],
            "models": sorted(each.id for each in client.models.list()),
            "batch": batch.id,
            "batch_output": client.files.content(batch.output_file_id).text,
            "question": QUESTION,
            **self.answered(client, done.fine_tuned_model),
        }
        running = self.create(client, rows, 25)
        wait_until(lambda: self.step_of(running) > 0, "a resume point")
        self.served.kill()
        time.sleep(2)  # its trainer ends with it
        assert self.query("select status from jobs where id = ?", running) == "running"
        return {**found, "running_job": running, "killed_after_step": self.step_of(running)}

    def create(self, client: Any, rows: str, epochs: int) -> str:
        supervised = {"n_epochs": epochs, "batch_size": 4, "learning_rate_multiplier": 3}
        method = {"type": "supervised", "supervised": {"hyperparameters": supervised}}
        job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=rows, validation_file=rows, seed=42,
                                             suffix=f"{epochs}", metadata={"epochs": f"{epochs}"},
                                             method=method)  # fmt: skip
        return job.id

    def batch(self, client: Any, model: str) -> Any:
        from tests.processes import wait_until
        from tests.serve.served import upload

        lines = [
            {"custom_id": f"row-{i}", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 8, "seed": i}}
            for i in range(2)
        ]  # fmt: skip
        file = upload(client, "\n".join(map(json.dumps, lines)).encode(), "batch.jsonl", "batch")
        made = client.batches.create(input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h")
        wait_until(lambda: client.batches.retrieve(made.id).status == "completed", "the end of the batch")
        return client.batches.retrieve(made.id)

    @staticmethod
    def answered(client: Any, model: str) -> dict[str, Any]:
        """A greedy answer and the log-probabilities of its tokens."""
        messages = [{"role": "user", "content": QUESTION}]
        said = client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0,
                                              logprobs=True, top_logprobs=3)  # fmt: skip
        [choice] = said.choices
        return {"answer": choice.message.content, "logprobs": [each.logprob for each in choice.logprobs.content]}

    def step_of(self, job: str) -> int:
        return int(self.query("select step from jobs where id = ?", job))

    @staticmethod
    def query(sql: str, *values: str) -> Any:
        with contextlib.closing(sqlite3.connect(STORE / "serve.db")) as rows:
            return rows.execute(sql, values).fetchone()[0]

    def finish(self, job: str) -> dict[str, Any]:
        """What the old server makes of the job that was running."""
        from tests.serve.served import ended

        client = self.served.start().client(self.key)
        done = ended(client, job)
        assert done.status == "succeeded"
        said = self.answered(client, done.fine_tuned_model)
        [last] = client.fine_tuning.jobs.checkpoints.list(job, limit=1).data
        self.served.kill()
        self.served.launcher.close()
        metrics = last.metrics.model_dump(exclude_none=True)
        return {"running_model": done.fine_tuned_model, "running_answer": said["answer"], "running_metrics": metrics,
                "trained_tokens": done.trained_tokens}  # fmt: skip
