"""Requests made up from the server's own OpenAPI page, and broken training files: does anything end in a 5xx?

    python -m benchmarks.serve_fuzz                          # 60 requests a route, 300 files
    python -m benchmarks.serve_fuzz --requests 20 --files 50 --database postgresql://USER@HOST/NAME

The server is a process on an empty store and database, with the bundled base. Every route of its table is asked.
Schemathesis makes requests that the page allows and such that it does not; in most of them, ids and models are those of
files, jobs, models, responses and Tinker's sessions that are there, so that more than 404 is reached; chats ask for
answers by random schemas and for calls of tools. The broken files are training files in which hypothesis breaks one
line: each must be refused with 400 in OpenAI's envelope, with the line's number and a reason. At the end the server
must still be well.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.chat_speed import Bound, be_quiet, show
from tests.serve.fuzz import Tally, broken_futures, fuzz_pages, fuzz_routes, route_table
from tests.serve.fuzz_files import fuzz_files
from tests.serve.known_objects import close, known_ids
from tests.serve.served import Served

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    from tests.processes import Launcher

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=60, help="a route")
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--database", default="", help="an empty one; default is SQLite")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chosen = {"database": args.database} if args.database else {}
    be_quiet()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="parley-fuzz-") as place:
        launcher = Launcher(Path(place))
        try:
            served = Served(
                launcher, Path(place), f"sqlite:///{place}/mlflow.db", base_model="bundled", **chosen
            ).start()
            tally = fuzz(served, args.requests, args.seed)
            refusals = Counter(fuzz_files(served, args.files, args.seed))
            well = served.http("").get("/healthz").status_code == 200
        finally:
            launcher.close()
    report(tally)
    wrong = {reason: count for reason, count in refusals.items() if reason}
    for each in [*tally.problems, *wrong]:
        print(each)
    bounds = [
        Bound("routes of the server that were not asked", "<=", 0, len(set(route_table()) - tally.routes)),
        Bound("replies of 5xx", "<=", 0, tally.broken, f"of {sum(tally.replies.values())}"),
        Bound("these, refusals without envelope, and failures of begun work", "<=", 0, len(tally.problems)),
        Bound("broken files refused with line and reason", ">=", args.files, refusals[""]),
        Bound("well at the end", ">=", 1, int(well)),
    ]
    sys.exit(not show(bounds))


def fuzz(served: Served, requests: int, seed: int) -> Tally:
    """Requests to every route, about objects that are there; what they began in Tinker's API must not fail either."""
    known = known_ids(served)
    tally = fuzz_routes(served, known, requests, seed)
    fuzz_pages(served, tally)
    tally.problems += broken_futures(served, tally.begun)
    close(served, known)
    return tally


def report(tally: Tally) -> None:
    """A line a route of the table; a last one for methods that a path does not have."""
    table, others = route_table(), Counter[int]()
    counts: dict[str, Counter[int]] = {}
    for (route, status), count in sorted(tally.replies.items()):
        (counts.setdefault(route, Counter()) if route in table else others)[status] += count
    for route, found in {**counts, "other methods": others}.items():
        print(f"{route:<76}" + "  ".join(f"{status}: {count}" for status, count in sorted(found.items())))


if __name__ == "__main__":
    main()
