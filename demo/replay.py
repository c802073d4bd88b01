"""A transcript played again: the same voices, histories and settings, compared with what was kept token for token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data.errors import UserError
from demo.limits import RequestLimits, sampling_problems
from inference.transcript import Exchange, ModelInfo, Reply, Transcript

if TYPE_CHECKING:
    from inference.model_pool import ModelGroup, ModelPool

CUT_OFF = ("stopped", "time")  # by the clock or by hand: such a reply can only be compared as far as it came
UNBOUNDED = RequestLimits(new_tokens=10**9)
LIMIT_S = 24 * 3600.0


@dataclass(frozen=True)
class Outcome:
    """What became of one reply; ``exchange`` and ``pane`` count from 0.

    ``kind``: same, differs or skipped. ``at``: the first token, counted from 0, that is another one now; None where
    only the text is. ``detail``: why it was skipped, or what is to be said of a reply that is the same.
    """

    exchange: int
    pane: int
    kind: str
    kept: Reply
    now: Reply | None = None
    at: int | None = None
    detail: str = ""


def open_models(transcript: Transcript, pool: "ModelPool") -> "ModelGroup":
    """The transcript's voices, ready to speak where they can be had.

    Raises:
        UserError: there is nothing to play.
    """
    _require_playable(transcript)
    return pool.open([voice.reference for voice in transcript.voices])


def changes(transcript: Transcript, panel: "ModelGroup") -> list[tuple[int, str]]:
    """(pane, what is another now) for every voice that is not the one of the transcript, or can't be had."""
    found = []
    for pane, (then, speaker) in enumerate(zip(transcript.voices, panel.speakers, strict=True)):
        if not _is_local(then):
            continue
        now, name = speaker.voice, then.reference
        if speaker.error:
            found.append((pane, f"{name} can't be had: {speaker.error}"))
        elif now.digest != then.digest:
            found.append((pane, f"{name} has other weights: {now.digest or 'none'}, then {then.digest}"))
        elif now.base_digest != then.base_digest:
            found.append((pane, f"{name} has another base: {now.base_digest or 'none'}, then {then.base_digest}"))
    return found


def play(transcript: Transcript, panel: "ModelGroup") -> Iterator[Outcome]:
    """Every exchange again, each after the history that the transcript has; one outcome a reply, as they come."""
    for number in range(len(transcript.exchanges)):
        yield from _play_one(transcript, panel, number)


def _play_one(transcript: Transcript, panel: "ModelGroup", number: int) -> Iterator[Outcome]:
    kept = transcript.exchanges[number]
    skipped = {i: _why_skipped(transcript.voices[i], reply) for i, reply in enumerate(kept.replies)}
    panes = [i for i, why in skipped.items() if not why]  # those that were rows of the batch, and no others
    said = _ask_again(transcript, panel, number, panes) if panes else None
    for i, reply in enumerate(kept.replies):
        if skipped[i]:
            yield Outcome(number, i, "skipped", reply, detail=skipped[i])
        elif said:
            yield _compared(number, i, reply, said.replies[panes.index(i)])


def _why_skipped(voice: ModelInfo, reply: Reply) -> str:
    if voice.kind == "openai":
        return "remote models can't be played again"
    return "it failed then" if reply.ended == "error" or not _is_local(voice) else ""


def _is_local(voice: ModelInfo) -> bool:
    return voice.kind not in ("openai", "")


def _ask_again(transcript: Transcript, panel: "ModelGroup", number: int, panes: Sequence[int]) -> Exchange | None:
    from inference.model_pool import ModelGroup

    kept = transcript.exchanges[number]
    lengths = [len(kept.replies[i].token_ids) for i in panes]
    history = [
        Exchange(each.prompt, tuple(each.replies[i] for i in panes), (None,) * len(panes))
        for each in transcript.exchanges[:number]
    ]
    again = ModelGroup(panel.pool, tuple(panel.speakers[i] for i in panes))
    now: Exchange | None = None

    def enough() -> bool:
        """Nothing more can be compared: every reply is as long as it was."""
        if now is None:
            return False
        return all(len(r.token_ids) >= n or r.ended for r, n in zip(now.replies, lengths, strict=True))

    for exchange in again.ask(kept.prompt, transcript.sampling, history, enough, LIMIT_S):
        now = exchange
    return now


def _compared(number: int, pane: int, kept: Reply, now: Reply) -> Outcome:
    if now.ended == "error":
        return Outcome(number, pane, "differs", kept, now, detail=f"it fails now: {now.error}")
    cut = kept.ended in CUT_OFF
    drawn = now.token_ids[: len(kept.token_ids)] if cut else now.token_ids
    if drawn != kept.token_ids:
        return Outcome(number, pane, "differs", kept, now, at=_first_difference(kept.token_ids, drawn))
    begun = kept.text.rstrip("\ufffd")  # half a character, which is whole by now
    if not now.text.startswith(begun) if cut else now.text != kept.text:
        return Outcome(number, pane, "differs", kept, now, detail="the tokens are the same, the text is another")
    return Outcome(number, pane, "same", kept, now, detail=f"as far as it came ({kept.ended})" if cut else "")


def _first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _require_playable(transcript: Transcript) -> None:
    if not transcript.voices or not transcript.exchanges:
        raise UserError("nothing was said in this transcript, so there is nothing to play again")
    problems = sampling_problems(transcript.sampling, UNBOUNDED)
    if problems:
        raise UserError(f"this transcript's settings are none: {next(iter(problems.values()))}")
