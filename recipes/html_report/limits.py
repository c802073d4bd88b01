"""What a run's numbers can't show, in sentences that are derived from the run."""

from collections.abc import Iterator, Sequence

from recipes.html_report.facts import MOST_ITEMS, Item, MetricLine


def limits(
    line: MetricLine | None, rows: int, items: Sequence[Item], seeds: str, kind: str, suites: Sequence[str] = ()
) -> tuple[str, ...]:
    """The sentences.

    Args:
        line: of the primary metric.
        rows: number of held-out rows.
        seeds: what is known about other seeds, as a sentence.
        kind: what the held-out rows are, as in ``the pirate set's own test rows``.
        suites: names of further suites that were evaluated.
    """
    return tuple(_sentences(line, rows, items, seeds, kind, suites))


def _sentences(
    line: MetricLine | None, rows: int, items: Sequence[Item], seeds: str, kind: str, suites: Sequence[str]
) -> Iterator[str]:
    if line and line.change and line.change.low is not None and line.change.high is not None:
        half = (line.change.high - line.change.low) / 2
        yield (
            f"{rows:,} held-out rows fix the change of {line.label} to about ± {half:{line.format}}; "
            "an effect smaller than that would not have been seen."
        )
    elif line:
        yield f"{rows:,} held-out rows give no interval for {line.label}: its change may be chance."
    yield seeds
    tested = f" Beyond them: {', '.join(suites)}." if suites else " No other kind of prompt was tested."
    yield f"The held-out rows are {kind}, so they resemble the training rows.{tested}"
    cut = sum("cut" in item.after_flags for item in items)
    if cut:
        were = "answer was" if cut == 1 else "answers were"
        yield f"{cut:,} {were} cut at max_new_tokens, so the end is unknown."
    if line and line.about:
        yield f"{line.label} is a rule and no reader: {line.about[0].lower()}{line.about[1:]}"
    yield "Answers are greedy. Sampled answers, as in a chat, differ; no person has rated any of them here."
    if rows > MOST_ITEMS:
        yield f"This page shows the first {MOST_ITEMS:,} of {rows:,} rows; the metrics are of all."
