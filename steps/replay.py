"""``mlflow run . -e replay``: generate the answers of a chat page's transcript again and compare them by token."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data.errors import ConfigError, UserError
from demo.config import DemoConfig
from steps.cli import main
from steps.flags import parse
from steps.ui import discard_own_run

if TYPE_CHECKING:
    from demo.replay import Outcome
    from inference.transcript import Transcript

TEXT_CHARS = 300


@dataclass(frozen=True)
class ReplayConfig:
    """Generates a transcript's answers again, with the versions registered now. Exit code 0: all are the same."""

    file: str = ""
    """Transcript that the chat page saved, JSON or HTML; may be given without its flag."""
    memory_gb: float = DemoConfig.memory_gb
    """Room for loaded weights; take the page's own where it had another."""
    threads: int = DemoConfig.threads
    """CPU threads; 0 takes all cores."""

    def __post_init__(self) -> None:
        DemoConfig(memory_gb=self.memory_gb, threads=self.threads)  # which checks them


def replay(argv: list[str]) -> None:
    """Print one line a model and a reply, then the summary.

    Raises:
        UserError: the file can't be read, or an answer or a model is not the same.
    """
    if argv and not argv[0].startswith("-"):
        argv = ["--file", *argv]
    config = parse(ReplayConfig, argv)
    discard_own_run()
    transcript = load(config.file)
    for line in report(config, transcript):
        print(line, flush=True)


def load(file: str) -> "Transcript":
    """The transcript in ``file``.

    Raises:
        UserError: there is none, or it can't be read.
    """
    from demo import transcript_html

    if not file:
        raise ConfigError("file names the transcript to replay: python -m steps.replay FILE")
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > 4 * transcript_html.LARGEST_CHARS:
            raise ConfigError(f"file={file}: this is no transcript, it is too large")
        return transcript_html.read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"file={file} can't be read: {why}") from error
    except ConfigError:
        raise
    except UserError as error:
        raise ConfigError(f"file={file}: {error}") from error


def report(config: ReplayConfig, transcript: "Transcript") -> Iterator[str]:
    """The lines of the report.

    Raises:
        UserError: not everything is the same; the message is the summary.
    """
    from demo.replay import changes, open_models, play
    from demo.server import make_pool

    sampling, models = transcript.sampling, transcript.models
    yield (
        f"Transcript  {len(models)} models, {len(transcript.exchanges)} exchanges, "
        f"temperature {sampling.temperature:g}, seed {sampling.seed}"
    )
    group = open_models(transcript, make_pool(DemoConfig(memory_gb=config.memory_gb, threads=config.threads)))
    changed = dict(changes(transcript, group))
    for pane, model in enumerate(models):
        yield f"Model {pane + 1}     {changed.get(pane) or _name(model.reference) + ', unchanged'}"
    counts: Counter[str] = Counter()
    for outcome in play(transcript, group):
        counts[outcome.kind] += 1
        yield from _lines(outcome, _name(models[outcome.pane].reference))
    yield _summary(counts, list(changed.values()))


def _name(reference: str) -> str:
    return _shown(reference)[1:-1] or "(no name)"


def _lines(outcome: "Outcome", name: str) -> Iterator[str]:
    head = f"Exchange {outcome.exchange + 1}  {name}: "
    kept, now, detail = outcome.kept, outcome.now, f", {outcome.detail}" if outcome.detail else ""
    if outcome.kind == "skipped":
        yield f"{head}skipped{detail}"
    elif outcome.kind == "same":
        yield f"{head}same, {len(kept.token_ids)} tokens{detail}"
    else:
        where = f" at token {outcome.at + 1}" if outcome.at is not None else ""
        yield f"{head}differs{where}{detail}"
        yield f"  then  {_shown(kept.text)}"
        yield f"  now   {_shown(now.text if now else '')}"


def _shown(text: str) -> str:
    """``text`` between quotes on one line; control characters are escaped."""
    line = repr(text)
    return line if len(line) <= TEXT_CHARS else f"{line[: TEXT_CHARS - 2]}…{line[-1]}"


def _summary(counts: "Counter[str]", changed: list[str]) -> str:
    compared = counts["same"] + counts["differs"]
    skipped = f"; {counts['skipped']} skipped" if counts["skipped"] else ""
    if not compared:
        raise UserError(f"Nothing could be compared{skipped}.")
    if counts["differs"]:
        why = f" ({'; '.join(changed)})" if changed else "; equal tokens are promised on one machine only"
        raise UserError(f"{counts['differs']} of {compared} answers differ{skipped}{why}.")
    if changed:
        raise UserError(f"All {compared} answers are the same{skipped}, but not all models: {'; '.join(changed)}.")
    return f"\nAll {compared} answers are the same, token for token{skipped}."


if __name__ == "__main__":
    main(replay)
