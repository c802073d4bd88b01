"""What the page shows of a conversation, a version and the votes, put together from the parts that draw."""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from data.errors import UserError
from demo.session import Conversation
from demo.view import details
from demo.view.charts import interval_bar, loss_curve
from demo.view.details import notice
from demo.view.diff import marked, marked_all
from demo.view.html import Markup, escaped, placeless, short_digest
from demo.view.panes import pane, parting_box, row
from inference.transcript import Exchange, ModelInfo, Reply, Transcript
from registry.votes.votes import Standing

if TYPE_CHECKING:
    from registry.version_details import CatalogEntry, VersionDetails

NAMES = ("Left", "Right", "Third", "Fourth")
Choice = tuple[str, str]


def panes(talk: Conversation, live: Exchange | None = None) -> Markup:
    """All columns in the order in which the visitor sees them, the growing exchange ``live`` last."""
    said = (*talk.exchanges, live) if live else talk.exchanges
    marks = _marks(talk, said)
    return row([_column(talk, place, number, said, marks) for place, number in enumerate(talk.order)])


def _marks(talk: Conversation, said: Sequence[Exchange]) -> tuple[Markup, ...]:
    """The word diff of the last answers, by pane; nothing while one grows or the sides are hidden."""
    if talk.hidden or not said or any(not reply.ended or reply.error for reply in said[-1].replies):
        return ()
    return marked_all([reply.text for reply in said[-1].replies]) if len(said[-1].replies) > 1 else ()


def _column(talk: Conversation, place: int, number: int, said: Sequence[Exchange], marks: tuple[Markup, ...]) -> Markup:
    turns: list[tuple[str, Reply]] = [(each.prompt, each.replies[number]) for each in said]
    growing = None
    if turns and not turns[-1][1].ended:
        prompt, reply = turns.pop()
        growing = (prompt, reply.text)
    voice = talk.voices[number] if number < len(talk.voices) else ModelInfo(talk.references[number], "", "", "", "", 0)
    same_texts = bool(marks) and len({reply.text for reply in said[-1].replies}) == 1
    return pane(voice, NAMES[place], turns, streaming=growing, blind=talk.hidden,
                marked=marks[number] if marks and not same_texts else None)  # fmt: skip


def partings(talk: Conversation) -> Markup:
    """Where each answer of the last exchange leaves the first pane's."""
    if not talk.exchanges:
        return Markup("")
    if talk.hidden:
        return notice("info", "Blind: vote, and the page shows which side is which and where they part.")
    last = talk.exchanges[-1]
    boxes = []
    for number in range(1, len(last.replies)):
        sides = last.replies[0], last.replies[number]
        names = (talk.voices[0].reference, talk.voices[number].reference)
        if any(reply.error or not reply.token_ids for reply in sides):
            continue  # remote models give no tokens, and one that failed has said nothing
        words = marked(sides[0].text, sides[1].text).similarity
        cut = last.partings[number] is None and sides[0].token_ids != sides[1].token_ids
        if cut:
            boxes.append(notice("info", f"{names[0]} and {names[1]} agree as far as both came."))
        else:
            boxes.append(parting_box(last.partings[number], names, similarity=words))
    return Markup("".join(boxes))


def way(talk: Conversation) -> Markup:
    """How the panes were computed."""
    if talk.hidden or not talk.way:
        return Markup("")
    return Markup(f'<p class="parley-way">computed as {escaped(talk.way)}; one seed, one noise for all panes</p>')


def choices(entries: "Sequence[CatalogEntry]", first: str) -> list[Choice]:
    """(label, reference) of everything that can be chosen: each base once, then versions; model ``first`` leads."""
    ordered = sorted(entries, key=lambda entry: entry.version.name != first)
    found: list[Choice] = []
    bases: set[tuple[str, str]] = set()
    for entry in ordered:
        version = entry.version
        reference = f"{version.name}/{version.number}"
        base = (version.tags.get("base_model", ""), version.tags.get("base_digest", ""))
        if any(base) and base not in bases:
            bases.add(base)
            found.append((f"base: {PurePath(base[0]).name} {short_digest(base[1])}".strip(), f"{reference}:base"))
        aliases = "".join(f" @{alias}" for alias in version.aliases)
        rest = " · ".join(filter(None, [entry.kind, entry.verdict, entry.headline]))
        found.append((f"{reference}{aliases}" + (f" · {rest}" if rest else ""), reference))
    return found


def defaults(entries: "Sequence[CatalogEntry]", name: str) -> tuple[str, str]:
    """References for the left and the right side: the base, and the champion or else the newest version of ``name``."""
    own = [entry.version for entry in entries if entry.version.name == name]
    if not own:
        return "", ""
    right = next((version for version in own if "champion" in version.aliases), own[0])
    reference = f"{right.name}/{right.number}"
    known = right.tags.get("base_model") or right.tags.get("base_digest")
    return (f"{reference}:base" if known else reference), reference


def newest_model(entries: "Sequence[CatalogEntry]") -> str:
    """The registered model with the newest version."""
    return max(entries, key=lambda entry: entry.created).version.name if entries else ""


def why(story: "VersionDetails") -> Markup:
    """How good a version is, as it says itself."""
    title = f"{story.version.name}/{story.version.number}"
    return details.why(title, story.verdict, story.reasons, [(s.label, s.base, s.tuned) for s in story.scores])


def curve(story: "VersionDetails", selected: int | None) -> Markup:
    """Its loss curve; ``selected`` is the step of the checkpoint that speaks, None for the version itself."""
    if not (story.train_loss or story.eval_loss):
        return Markup("")
    now = story.restored_step if selected is None else selected
    drawn = loss_curve(story.train_loss, story.eval_loss, story.best_step, story.checkpoints, now)
    return Markup(f'<figure class="parley-figure-box">{drawn}</figure>')


def origin(story: "VersionDetails") -> Markup:
    """Where it comes from."""
    return details.origin(story.lineage, story.run_url, story.notes)


def standings(overall: Sequence[Standing], pairs: Sequence[Standing], open_votes: Sequence[Standing]) -> Markup:
    """Win rates by version with their intervals, then pair by pair, then those of votes that were not blind."""
    if not overall and not open_votes:
        return Markup('<p class="parley-hint">No votes yet. Ask something, then vote; blind votes count here.</p>')
    parts = []
    if overall:
        parts += ["<h3>Blind votes</h3>", _standings_table(overall, "all rivals")]
    if pairs:
        parts += ["<h3>Head to head, blind</h3>", _standings_table(pairs, "")]
    if open_votes:
        parts += ["<h3>Votes that were not blind</h3>", _standings_table(open_votes, "all rivals")]
        parts.append(
            '<p class="parley-hint">Who reads the label tends to prefer “tuned”: never added to the blind.</p>'
        )
    return Markup(f'<section class="parley-votes">{"".join(parts)}</section>')


def _standings_table(found: Sequence[Standing], rivals: str) -> str:
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("version", "against", "won", "lost", "tie", "both bad", "win rate, 95 % interval", "")
    )
    rows = []
    for each in found:
        rate, (low, high) = each.win_rate, each.interval or (math.nan, math.nan)
        shown = "–" if rate is None else f"{rate:.2f} ({low:.2f} to {high:.2f})"
        bar = interval_bar(math.nan if rate is None else rate, low, high)
        cells = (each.version, each.rival or rivals, each.wins, each.losses, each.ties, each.both_bad, shown)
        rows.append("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in cells) + f"<td>{bar}</td></tr>")
    return f'<div class="parley-scroll"><table class="parley-scores"><thead><tr>{head}</tr></thead>' + (
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def self_check(transcript: Transcript, same: bool) -> Markup:
    """What came of the left version against itself."""
    last, name = transcript.exchanges[-1], transcript.voices[0].reference
    parting = None if same else last.partings[1]
    if not same and parting is None:
        return notice("error", f"Self-check failed: {name} against itself gave two different answers.")
    answer = f'<blockquote class="parley-quote">{escaped(last.replies[0].text)}</blockquote>'
    return Markup(answer + parting_box(parting, (name, name), self_check=True))


def voted(talk: Conversation) -> Markup:
    """Thanks for a vote; after a blind one, which side was which."""
    if not talk.blind:
        return notice("info", "Your vote is kept.")
    sides = " and ".join(f"{NAMES[place].lower()} was {talk.voices[number].reference}"
                         for place, number in enumerate(talk.order))  # fmt: skip
    return notice("info", f"Your vote is kept: {sides}. The next prompt shuffles anew.")


def trouble(error: UserError) -> Markup:
    """A user error as the page's one line."""
    return notice("error", placeless((str(error).splitlines() or ["something is wrong"])[0]))
