"""What the page shows of a conversation, a version and the votes, put together from the other modules' fragments."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from data.errors import UserError
from demo.conversation import Conversation
from demo.view import details
from demo.view.charts import interval_bar, loss_curve
from demo.view.classifier import CLASSIFIER
from demo.view.details import notice
from demo.view.diff import marked_all, similarity
from demo.view.html import Markup, escaped, fragment, short_digest, without_folders
from demo.view.panes import divergence_box, pane, row
from demo.view.samples import summary
from demo.view.tokens import footer, tokens
from inference.observations import RenderedPrompt, TokenScore
from inference.transcript import Exchange, ModelInfo, Reply, Transcript
from registry.votes.votes import Standing

if TYPE_CHECKING:
    from registry.version_details import CatalogEntry, VersionDetails

#: Kinds of versions whose weights are here to be exported.
EXPORTED = ("lora", "full", "dpo")
NAMES = ("Left", "Right", "Third", "Fourth", "Fifth", "Sixth")
Choice = tuple[str, str]


def panes(chat: Conversation, live: Exchange | None = None) -> Markup:
    """All columns in the order in which the visitor sees them, the unfinished exchange ``live`` last."""
    exchanges = (*chat.exchanges, live) if live else chat.exchanges
    marks = _marks(chat, exchanges)
    rendered = () if live else chat.rendered
    return row([_column(chat, place, number, exchanges, marks, rendered) for place, number in enumerate(chat.order)])


def only_labels(references: Sequence[str]) -> Markup:
    """What stands in place of the panes of versions that answer no prompts; nothing where none is chosen."""
    if not references:
        return Markup("")
    names = " and ".join(dict.fromkeys(reference.partition(":")[0] for reference in references))
    line = "{}: TF-IDF gives a text a label and answers no prompts. The box below takes a text."
    return Markup(f'<p class="parley-hint">{line}</p>').format(names)


def _marks(chat: Conversation, exchanges: Sequence[Exchange]) -> tuple[Markup, ...]:
    """The word diff of the last answers, by pane; nothing while one is unfinished or the sides are hidden."""
    if chat.hidden or not exchanges:
        return ()
    if chat.view != "words" and chat.scores and exchanges == chat.exchanges:
        return tuple(token_text(chat, pane, scores, chat.view)[0] for pane, scores in enumerate(chat.scores))
    if any(not reply.ended or reply.error for reply in exchanges[-1].replies):
        return ()
    texts = [reply.text for reply in exchanges[-1].replies]
    return marked_all(texts) if len(set(texts)) > 1 else ()


def token_text(
    chat: Conversation, pane: int, scores: Sequence[TokenScore], view: str, other: bool = False
) -> tuple[Markup, str]:
    """The tokens of a text of ``pane`` in ``view``, and the line on their divergence."""
    names = (chat.models[0].reference, chat.models[pane or 1].reference)
    return tokens(scores, view, pane, names, other), footer(scores)


def _column(
    chat: Conversation,
    place: int,
    number: int,
    exchanges: Sequence[Exchange],
    marks: tuple[Markup, ...],
    rendered: Sequence[RenderedPrompt | None],
) -> Markup:
    turns: list[tuple[str, Reply]] = [(each.prompt, each.replies[number]) for each in exchanges]
    streaming = None
    if turns and not turns[-1][1].ended:
        prompt, reply = turns.pop()
        streaming = (prompt, reply.text)
    unknown = ModelInfo(chat.references[number], "", "", "", "", 0)
    model = chat.models[number] if number < len(chat.models) else unknown
    error = chat.errors[number] if number < len(chat.errors) else ""
    return pane(
        model,
        NAMES[place],
        turns,
        streaming=streaming,
        blind=chat.hidden,
        marked=marks[number] if marks else None,
        rendered=rendered[number] if rendered else None,
        note=footer(chat.scores[number]) if chat.scores and chat.view != "words" and rendered else "",
        error=error,
    )


def divergences(chat: Conversation) -> Markup:
    """The samples, the first token in which each answer of the last exchange differs from the first pane's, and how all
    ran.
    """
    if chat.hidden:
        line = "Blind: vote, and the page shows which side is which and where the answers differ."
        return notice("info", line) if chat.exchanges else Markup("")
    numbers = range(1, len(chat.exchanges[-1].replies)) if chat.exchanges else ()
    found = {number: box for number in numbers if (box := _divergence(chat, number))}
    boxes = list(found.values())
    if len(boxes) > 1:
        boxes = [fragment("divergences.html", line=_first_tokens(chat, list(found)), boxes=boxes)]
    return Markup("").join([summary(chat), *boxes, _execution(chat)])


def _first_tokens(chat: Conversation, numbers: Sequence[int]) -> str:
    """At which token each of the other panes first differs from the first one, in one line."""
    found = chat.exchanges[-1].divergences
    return ", ".join(
        f"{chat.models[number].reference} " + ("nowhere" if (at := found[number]) is None else f"at token {at.at + 1}")
        for number in numbers
    )


def _divergence(chat: Conversation, number: int) -> Markup:
    """Of pane ``number`` from the first; nothing where a reply failed or has no tokens, as those of remote models."""
    last = chat.exchanges[-1]
    first, other = last.replies[0], last.replies[number]
    if any(reply.error or not reply.token_ids for reply in (first, other)):
        return Markup("")
    names = (chat.models[0].reference, chat.models[number].reference)
    divergence = last.divergences[number]
    if divergence is None and first.token_ids != other.token_ids:
        return notice("info", f"{names[0]} and {names[1]} are equal up to the end of the shorter answer.")
    return divergence_box(divergence, names, similarity=similarity(first.text, other.text))


def _execution(chat: Conversation) -> Markup:
    """How the panes were computed; nothing before the first prompt."""
    if not chat.execution or not chat.exchanges:
        return Markup("")
    text = "computed as {}; all panes share one seed and one noise"
    return Markup(f'<p class="parley-execution">{text}</p>').format(chat.execution)


def choices(entries: "Sequence[CatalogEntry]", first: str) -> list[Choice]:
    """(label, reference) of everything that can be chosen: each base once, then versions; model ``first`` leads."""
    ordered = sorted(entries, key=lambda entry: entry.version.name != first)
    found: list[Choice] = []
    bases: set[tuple[str, str]] = set()
    for entry in ordered:
        version = entry.version
        reference = version.reference
        base = (version.tags.get("base_model", ""), version.tags.get("base_digest", ""))
        if any(base) and base not in bases:
            bases.add(base)
            found.append((f"base: {PurePath(base[0]).name} {short_digest(base[1])}".strip(), f"{reference}:base"))
        aliases = "".join(f" @{alias}" for alias in version.aliases)
        rest = " · ".join(filter(None, [entry.kind, entry.verdict, entry.headline]))
        found.append((f"{reference}{aliases}" + (f" · {rest}" if rest else ""), reference))
    return found


def can_chat(entry: "CatalogEntry") -> bool:
    """Whether the version answers prompts; others label texts."""
    return entry.kind != CLASSIFIER


def model_names(entries: "Sequence[CatalogEntry]") -> list[str]:
    """The registered models by name."""
    return sorted({entry.version.name for entry in entries})


def defaults(entries: "Sequence[CatalogEntry]", name: str) -> tuple[str, str]:
    """References for the left and the right side: the base, and the champion or else the newest version of ``name``.

    Of a model with versions that can chat, one of these is taken.
    """
    of_name = [entry for entry in entries if entry.version.name == name]
    own = [entry.version for entry in of_name if can_chat(entry)] or [entry.version for entry in of_name]
    if not own:
        return "", ""
    right = next((version for version in own if "champion" in version.aliases), own[0])
    reference = right.reference
    known = right.tags.get("base_model") or right.tags.get("base_digest")
    return (f"{reference}:base" if known else reference), reference


def next_column(entries: "Sequence[CatalogEntry]", columns: Sequence[str]) -> str:
    """The version for one more column: the newest before the last column's that is not shown yet, else the base."""
    name, _, rest = columns[-1].partition("/")
    number = int(rest.partition(":")[0]) if rest.partition(":")[0].isdigit() else None
    own = [entry.version for entry in entries if entry.version.name == name and can_chat(entry)]
    earlier = [f"{name}/{version.number}" for version in own if number is None or version.number < number]
    base = f"{columns[-1].partition(':')[0]}:base"
    return next((each for each in [*earlier, base] if each not in columns), columns[-1])


def newest_model(entries: "Sequence[CatalogEntry]") -> str:
    """The registered model with the newest version, of those that can chat where there is any."""
    found = [entry for entry in entries if can_chat(entry)] or entries
    return max(found, key=lambda entry: entry.created).version.name if found else ""


def quality(version: "VersionDetails") -> Markup:
    """Its verdict and scores."""
    title = version.version.reference
    scores = [(score.label, score.base, score.tuned) for score in version.scores]
    return details.quality(title, version.verdict, version.reasons, scores)


def curve(version: "VersionDetails", selected: int | None) -> Markup:
    """Its loss curve; ``selected`` is the step of the checkpoint that answers, None for the version itself."""
    if not (version.train_loss or version.eval_loss):
        return Markup("")
    now = version.restored_step if selected is None else selected
    svg = loss_curve(version.train_loss, version.eval_loss, version.best_step, version.checkpoints, now)
    return Markup('<figure class="parley-figure-box">{}</figure>').format(svg)


def origin(version: "VersionDetails") -> Markup:
    """Where it comes from."""
    return details.origin(version.lineage, version.run_url, version.notes)


def standings(blind: Sequence[Standing], pairs: Sequence[Standing], not_blind: Sequence[Standing]) -> Markup:
    """Win rates by version with their intervals, then pair by pair, then those of votes that were not blind."""
    if not blind and not not_blind:
        hint = "No votes yet. Send a prompt, then vote; blind votes count here."
        return Markup('<p class="parley-hint">{}</p>').format(hint)
    tables = {"blind": blind, "pairs": pairs, "not_blind": not_blind}
    return fragment("standings.html", **{name: [_standing(each) for each in rows] for name, rows in tables.items()})


def _standing(each: Standing) -> tuple[Standing, str, Markup]:
    """A row of the table: the counts, the win rate with its interval as text and as a bar."""
    text = "–"
    if each.win_rate is not None and each.interval is not None:
        text = f"{each.win_rate:.2f} ({each.interval[0]:.2f} to {each.interval[1]:.2f})"
    return each, text, interval_bar(each.win_rate, each.interval)


def self_check(transcript: Transcript, same: bool) -> Markup:
    """The result of comparing the left version with itself."""
    last, name = transcript.exchanges[-1], transcript.models[0].reference
    divergence = None if same else last.divergences[1]
    if not same and divergence is None:
        return notice("error", f"Self-check failed: {name} gave two different answers to the same prompt.")
    answer = Markup('<blockquote class="parley-quote">{}</blockquote>').format(escaped(last.replies[0].text))
    return answer + divergence_box(divergence, (name, name), self_check=True)


def voted(chat: Conversation) -> Markup:
    """Confirms a vote; after a blind one, which side was which."""
    if not chat.blind:
        return notice("info", "Your vote is saved.")
    sides = " and ".join(
        f"{NAMES[place].lower()} was {chat.models[number].reference}" for place, number in enumerate(chat.order)
    )
    return notice("info", f"Your vote is saved: {sides}. The next prompt shuffles the sides again.")


def error_notice(error: UserError) -> Markup:
    """A user error as the page's one line."""
    return notice("error", without_folders((str(error).splitlines() or ["something is wrong"])[0]))
