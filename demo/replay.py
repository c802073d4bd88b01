"""Replay of a transcript with the same models, histories and settings; answers are compared with the saved ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import UserError
from demo.limits import RequestLimits, sampling_problems
from inference.transcript import Exchange, ModelInfo, Reply, Transcript

if TYPE_CHECKING:
    from inference.model_group import ModelGroup
    from inference.model_pool import ModelPool

CUT_OFF = ("stopped", "time")  # by the time limit or the visitor: compared up to where the reply was cut
UNBOUNDED = RequestLimits(new_tokens=10**9)
LIMIT_S = 24 * 3600.0
OLD_TEMPERATURE = 5.0  # what the page took until 2026-11-28


@dataclass(frozen=True)
class Outcome:
    """The result for one reply; ``exchange`` and ``pane`` count from 0.

    ``kind``: same, differs or skipped. ``at``: the first token, counted from 0, that differs; None where only the
    text does. ``detail``: why it was skipped, or a remark on a reply that is the same.
    """

    exchange: int
    pane: int
    kind: str
    kept: Reply
    now: Reply | None = None
    at: int | None = None
    detail: str = ""


def open_models(transcript: Transcript, pool: "ModelPool") -> "ModelGroup":
    """The transcript's models, loaded where they are available.

    Raises:
        UserError: there is nothing to replay.
    """
    _require_playable(transcript)
    return pool.open([model.reference for model in transcript.models])


def changes(transcript: Transcript, group: "ModelGroup") -> list[tuple[int, str]]:
    """(pane, what differs) for every model that is not the one of the transcript, or is unavailable."""
    found = []
    for pane, (then, loaded) in enumerate(zip(transcript.models, group.loaded, strict=True)):
        if not _is_local(then):
            continue
        now, name = loaded.info, then.reference
        if loaded.error:
            found.append((pane, f"{name} is unavailable: {loaded.error}"))
        elif now.digest != then.digest:
            found.append((pane, f"{name} has other weights: {now.digest or 'none'}, then {then.digest}"))
        elif now.base_digest != then.base_digest:
            found.append((pane, f"{name} has another base: {now.base_digest or 'none'}, then {then.base_digest}"))
    return found


def play(transcript: Transcript, group: "ModelGroup") -> Iterator[Outcome]:
    """Generate every exchange again, each after the transcript's history; yields one outcome a reply."""
    for number in range(len(transcript.exchanges)):
        yield from _play_one(transcript, group, number)


def _play_one(transcript: Transcript, group: "ModelGroup", number: int) -> Iterator[Outcome]:
    kept = transcript.exchanges[number]
    skipped = {i: _why_skipped(transcript.models[i], reply) for i, reply in enumerate(kept.replies)}
    panes = [i for i, why in skipped.items() if not why]  # those that were rows of the batch, and no others
    now = _generate(transcript, group, number, panes) if panes else None
    for i, reply in enumerate(kept.replies):
        if skipped[i]:
            yield Outcome(number, i, "skipped", reply, detail=skipped[i])
        elif now:
            yield _compared(number, i, reply, now.replies[panes.index(i)])


def _why_skipped(model: ModelInfo, reply: Reply) -> str:
    if model.kind == "openai":
        return "remote models can't be replayed"
    return "it failed then" if reply.ended == "error" or not _is_local(model) else ""


def _is_local(model: ModelInfo) -> bool:
    return model.kind not in ("openai", "")


def _generate(transcript: Transcript, group: "ModelGroup", number: int, panes: Sequence[int]) -> Exchange | None:
    from inference.model_group import ModelGroup

    kept = transcript.exchanges[number]
    lengths = [len(kept.replies[i].token_ids) for i in panes]
    history = [
        Exchange(each.prompt, tuple(each.replies[i] for i in panes), (None,) * len(panes))
        for each in transcript.exchanges[:number]
    ]
    again = ModelGroup(group.pool, tuple(group.loaded[i] for i in panes))
    now: Exchange | None = None

    def enough() -> bool:
        """True once every reply is as long as the saved one."""
        if now is None:
            return False
        return all(len(r.token_ids) >= n or r.ended for r, n in zip(now.replies, lengths, strict=True))

    sampling, system = transcript.sampling_of(kept), transcript.system
    for exchange in again.generate(kept.prompt, sampling, history, enough, LIMIT_S, system):
        now = exchange
    return now


def _compared(number: int, pane: int, kept: Reply, now: Reply) -> Outcome:
    if now.ended == "error":
        return Outcome(number, pane, "differs", kept, now, detail=f"it fails now: {now.error}")
    cut = kept.ended in CUT_OFF
    tokens = now.token_ids[: len(kept.token_ids)] if cut else now.token_ids
    if tokens != kept.token_ids:
        return Outcome(number, pane, "differs", kept, now, at=_first_difference(kept.token_ids, tokens))
    begun = kept.text.rstrip("\ufffd")  # the part of a character, complete by now
    if not now.text.startswith(begun) if cut else now.text != kept.text:
        return Outcome(number, pane, "differs", kept, now, detail="the tokens are the same, the text differs")
    return Outcome(number, pane, "same", kept, now, detail=f"as far as it came ({kept.ended})" if cut else "")


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _require_playable(transcript: Transcript) -> None:
    if not transcript.models or not transcript.exchanges:
        raise UserError("this transcript has no messages, so there is nothing to replay")
    problems = sampling_problems(transcript.sampling, UNBOUNDED, OLD_TEMPERATURE)
    if problems:
        raise UserError(f"this transcript's settings are invalid: {next(iter(problems.values()))}")
