"""A worker that trains nothing: it starts its job and ends as the variable ``FAKE_WORKER`` says."""

import json
import os
import signal
import sys

from serve.store import jobs
from serve.store.database import Database
from serve.training import worker

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(worker.STOPPED))
    database = Database(json.loads(sys.stdin.readline())["database"])
    jobs.start(database, sys.argv[1])
    print(os.environ["FAKE_WORKER"], "was the last line", flush=True)
    match os.environ["FAKE_WORKER"]:
        case "crash":
            sys.exit(1)
        case "later":
            sys.exit(worker.LATER)
        case "wait":
            signal.pause()
