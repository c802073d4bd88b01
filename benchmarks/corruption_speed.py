"""What checking, corrupting and writing 50,000 reviews costs over reading and writing them, and in how much memory.

Run from the project's root, with the two files of IMDB (or any JSONL with text and label)::

    python -m benchmarks.corruption_speed FOLDER/imdb_train.jsonl.gz FOLDER/imdb_test.jsonl.gz [--rounds 5]

Each round does both, one after the other, in the same process, so that their ratio does not depend on the machine.
"plain" reads the files, parses each row and writes it again. "corrupt" also checks each row, leaves out copies, flips
labels, writes the mask and writes each row as a chat. Both write JSON lines packed with gzip, which is what they
read and what the bound is for, and once more unpacked, for information: most of the plain work is packing.
Memory is the peak of a process of its own, for a tenth of the rows and for all.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from statistics import median

from data import corruption, prompts
from data.duplicates import fingerprint
from data.formats import openai, reviews
from data.labelled import SENTIMENTS, LabelledRow

NOISE = corruption.Noise("symmetric", 0.3, 42)
MOST_TIMES, MOST_GROWTH_MB = 2.0, 16.0


def main() -> None:
    """Measure and print; exit with 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="JSONL or JSONL.gz with text and label")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory_of", type=int, default=0, help="internal: corrupt so many rows, print the peak in kB")
    args = parser.parse_args()
    if args.memory_of:
        with tempfile.TemporaryDirectory() as place:
            corrupt(args.files, Path(place) / "out.jsonl", args.memory_of)
        print(own_peak_kb())
        return
    rows = sum(1 for _ in raw_lines(args.files))
    met = [show(args.files, "out.jsonl.gz", args.rounds)]
    show(args.files, "out.jsonl", args.rounds)
    few, many = (peak_mb(args.files, n) for n in (rows // 10, rows))
    met.append(many - few <= MOST_GROWTH_MB)
    grown = f"{many - few:+.1f} MB {said(met[-1])}"
    print(f"memory: {few:.1f} MB for {rows // 10:,} rows, {many:.1f} MB for {rows:,}: {grown}")
    sys.exit(not all(met))


def show(files: list[Path], name: str, rounds: int) -> bool:
    """Print the ratio for one kind of output; whether the bound is met."""
    ratios, plain_s, corrupt_s = [], [], []
    with tempfile.TemporaryDirectory() as place:
        for _ in range(rounds):
            plain_s.append(timed(plain, files, Path(place) / name))
            corrupt_s.append(timed(corrupt, files, Path(place) / name))
            ratios.append(corrupt_s[-1] / plain_s[-1])
    ratio = median(ratios)
    print(
        f"{name}: plain {median(plain_s):.2f} s, corrupt {median(corrupt_s):.2f} s, ratio {ratio:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f} in {rounds} rounds; bound {MOST_TIMES:g} when packed)",
        flush=True,
    )
    return ratio <= MOST_TIMES


def timed(work: Callable[[list[Path], Path], object], files: list[Path], out: Path) -> float:
    """CPU seconds, which the other work of a busy machine leaves alone."""
    start = time.process_time()
    work(files, out)
    return time.process_time() - start


def raw_lines(files: list[Path]) -> Iterator[str]:
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            yield from lines


def plain(files: list[Path], out: Path) -> None:
    """Read, parse, write."""
    rewritten = (json.dumps(json.loads(line), ensure_ascii=False) + "\n" for line in raw_lines(files))
    openai.write_lines(rewritten, out)


def corrupt(files: list[Path], out: Path, most: int = sys.maxsize) -> None:
    """Read, check, leave out copies, flip, write chats and the mask."""
    problems: list[str] = []
    found = islice(chain.from_iterable(reviews.stream(path, problems) for path in files), most)
    taught = corruption.stream(without_copies(found), NOISE)
    with (out.parent / "mask.jsonl").open("w", encoding="utf-8") as mask:

        def rows() -> Iterator[LabelledRow]:
            for row, original in taught:
                mask.write(corruption.mask_line(row, original))
                yield row

        openai.write(rows(), out, SENTIMENTS, prompts.REVIEW)
    if problems:
        sys.exit("\n".join(problems[:20]))


def without_copies(rows: Iterator[LabelledRow]) -> Iterator[LabelledRow]:
    seen: set[bytes] = set()
    for row in rows:
        mark = fingerprint(row.text)
        if mark not in seen:
            seen.add(mark)
            yield row


def peak_mb(files: list[Path], rows: int) -> float:
    command = [sys.executable, "-m", "benchmarks.corruption_speed", *map(str, files), "--memory_of", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def own_peak_kb() -> int:
    """Peak memory of this process alone: ru_maxrss starts with that of the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def said(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
