"""A pane says exactly what speaks, or in blind mode nothing of it, and shows text as text."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from demo.view.diff import marked
from demo.view.panes import byte_size, divergence_box, label, pane, row, stats, visible
from inference.transcript import Divergence, ModelInfo, Reply

BASE = ModelInfo("pirate/3:base", "base", "5cce91d2aa001122", "bundled", "5cce91d2aa001122", 48_000_000)
TUNED = ModelInfo("pirate/3", "lora", "9f2c31aa77e01234", "bundled", "5cce91d2aa001122", 812_345)
REMOTE = ModelInfo("reviews/2", "openai", "", "gpt-4.1-nano", "", 0)
REPLY = Reply("Ahoy, matey!", tuple(range(41)), "end", 0.21, 1.26)
PART = Divergence(2, (" find", "\n"), (((" find", 0.5), (" be", 0.25)), (("\n", 0.77), (" find", 0.125))))


def text(markup):
    return " ".join(re.sub(r"<[^>]*>", "", markup).split())


def parsed(markup):
    """The markup as a tree: fails where an element is left open or an attribute unquoted."""
    return ElementTree.fromstring(f"<div>{markup}</div>")


@pytest.mark.parametrize(
    ("voice", "said"),
    [
        (BASE, "BASE bundled · 5cce91d2…"),
        (TUNED, "TUNED pirate/3 · LoRA · 0.8 MB · digest 9f2c31aa… · base bundled 5cce91d2…"),
        (
            replace(TUNED, reference="pirate/3:24", bytes=41_300),
            "TUNED pirate/3 · checkpoint of step 24 · LoRA · 41 KB · digest 9f2c31aa… · base bundled 5cce91d2…",
        ),
        (replace(TUNED, kind="full", digest="", base_digest="", bytes=0), "TUNED pirate/3 · full model · base bundled"),
        (REMOTE, "OpenAI · gpt-4.1-nano · reviews/2 · seed: best effort"),
        (replace(BASE, base_model="/home/me/models/tiny"), "BASE tiny · 5cce91d2…"),
    ],
)
def test_the_label_says_what_speaks(voice, said):
    assert label(voice) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"), [(0, "1 KB"), (41_300, "41 KB"), (812_345, "0.8 MB"), (2**31, "2.1 GB")]
)
def test_sizes_are_in_units_that_people_read(size_bytes, said):
    assert byte_size(size_bytes) == said


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (REPLY, "first token 0.21 s · 38 tokens/s · 41 tokens · stopped itself"),
        (Reply("a", (1,), "length", 0.045, 0.05), "first token 45 ms · 1 token · cut at the length cap"),
        (Reply("", (), "stopped", None, 0.1), "no tokens · stopped by you"),
        (Reply("a", (1, 2), "time", 12.4, 60.0), "first token 12 s · 0 tokens/s · 2 tokens · cut at the time limit"),
        (Reply("", (), "error", None, 0.1, "gone:\n  away"), "failed: gone: away"),
    ],
)
def test_the_line_under_an_answer_says_how_it_came_about(reply, said):
    assert stats(reply) == said


def test_a_finished_pane_shows_the_conversation_and_announces_the_end_once():
    shown = pane(TUNED, "Right", [("hi", replace(REPLY, text="first")), ("ho", REPLY)])
    assert text(shown).index("first") < text(shown).index("Ahoy, matey!")
    assert re.findall(r'role="status" aria-live="polite">([^<]*)<', shown) == [stats(REPLY)]
    assert 'role="log" aria-live="off" aria-busy="false"' in shown and 'aria-label="Right"' in shown
    assert "parley-caret" not in shown


def test_a_growing_answer_has_a_caret_and_announces_nothing():
    shown = pane(TUNED, "Right", [("hi", REPLY)], streaming=("ho", "Ye can"))
    assert 'Ye can<span class="parley-caret"' in shown and 'aria-busy="true"' in shown
    assert re.findall(r'role="status" aria-live="polite">([^<]*)<', shown) == [""]
    parsed(shown)


def test_the_word_diff_stands_in_for_the_last_answer_once_it_is_finished():
    diff = marked("Hello, matey!", REPLY.text)
    turns = [("hi", REPLY), ("ho", REPLY)]
    assert pane(TUNED, "Right", turns, marked=diff.other).count("<ins") == 1
    assert "<ins" not in pane(TUNED, "Right", turns, streaming=("x", ""), marked=diff.other)


def test_a_blind_pane_is_the_same_whoever_speaks_and_however_fast():
    slow = Reply(REPLY.text, (1, 2), "length", 9.0, 20.0)
    one = pane(TUNED, "Left", [("hi", REPLY), ("hi", REPLY)], marked=marked("x", REPLY.text).other, blind=True)
    other = pane(REMOTE, "Left", [("hi", slow), ("hi", slow)], marked=marked(REPLY.text, "x").first, blind=True)
    assert one == other
    assert "title=" not in one and "Left" in one


def test_a_blind_pane_keeps_the_reason_of_a_failure_to_itself():
    shown = pane(TUNED, "Left", [("hi", Reply("", (), "error", None, 0.1, "pirate/3 is gone"))], blind=True)
    assert "pirate" not in shown and "could not answer" in shown


HOSTILE = "</div><script>alert(1)</script>\"'><img onerror=x>\x00\ud800"


def test_nothing_that_was_typed_or_named_or_answered_becomes_markup():
    voice = ModelInfo(HOSTILE, "lora", HOSTILE, HOSTILE, HOSTILE, 1)
    reply = Reply(HOSTILE, (1,), "end", 0.1, 0.2)
    failed = Reply("", (), "error", None, 0.2, HOSTILE)
    parting = Divergence(0, (HOSTILE, "x"), (((HOSTILE, 0.5),), (("x", 0.5),)))
    shown = row([
        pane(voice, HOSTILE, [(HOSTILE, reply), (HOSTILE, failed)]),
        pane(voice, HOSTILE, [], streaming=(HOSTILE, HOSTILE)),
        divergence_box(parting, (HOSTILE, HOSTILE)),
    ])  # fmt: skip
    names = {element.tag for element in parsed(shown).iter()}
    assert not names & {"script", "img"}
    shown.encode()


def test_an_empty_answer_is_named_so():
    assert "an empty answer" in pane(TUNED, "Right", [("hi", replace(REPLY, text=" \n"))])


def test_a_divergence_shows_both_sides_with_what_they_took():
    shown = divergence_box(PART, ("Left", "Right"), similarity=0.754)
    said = text(shown)
    assert said.startswith("first difference at token 3: ␣find / ⏎ · 75% of the words in common")
    assert [float(width) for width in re.findall(r"width:([\d.]+)%", shown)] == [50, 25, 77, 12.5]
    taken = re.findall(r'parley-chosen"><code class="parley-token">([^<]*)', shown)
    assert taken == ["␣find", "⏎"] and said.count("taken") == 2
    parsed(shown)


def test_a_token_outside_the_five_likeliest_is_shown_as_taken_too():
    said = text(divergence_box(replace(PART, chosen=(" odd", "\n")), ("Left", "Right")))
    assert "␣oddrarertaken" in said.replace(" ", "")


def test_agreement_says_so_and_a_self_check_says_whether_it_passed():
    names = ("Left", "Right")
    assert "same answer, token for token" in divergence_box(None, names)
    assert "self-check" not in divergence_box(None, names)
    assert "self-check passed" in divergence_box(None, names, self_check=True)
    assert "self-check failed" in divergence_box(PART, names, self_check=True)


def test_blanks_in_tokens_can_be_seen():
    assert [visible(token) for token in (" the", "\n\n", "\t", "", "a")] == ["␣the", "⏎⏎", "⇥", "∅", "a"]
