"""Several answers to one prompt: which they are, what is counted in them, and what the page shows."""

from dataclasses import replace

import pytest

from data.errors import UserError
from demo.behaviour import behaviour_of
from demo.limits import HIGHEST_SEED
from demo.samples import Behaviour, Samples
from demo.view import render
from demo.view.samples import summary
from inference.transcript import Reply, Sampling

SIDES = ("pirate/1:base", "pirate/1")
SHORT = Sampling(temperature=1.0, max_new_tokens=4, seed=20)


@pytest.fixture(scope="module")
def sampled(served):
    """A conversation whose last prompt was answered with three seeds; and what it showed after the first frame."""
    chat = served.sessions.restart("samples")
    frames = served.sessions.answer(chat, SIDES, "Hello.", SHORT, samples=3)
    next(frames)
    growing = summary(chat)
    for _ in frames:
        pass
    return chat, growing


def reply(text, ended="end"):
    return Reply(text, (1,), ended, 0.1, 0.2)


def test_each_sample_is_the_answer_with_its_seed(served, sampled):
    chat, _ = sampled
    for at, replies in enumerate(chat.samples.replies):
        alone = served.sessions.restart("alone")
        for _ in served.sessions.answer(alone, SIDES, "Hello.", replace(SHORT, seed=SHORT.seed + at)):
            pass
        assert [each.token_ids for each in alone.exchanges[0].replies] == [each.token_ids for each in replies]
    assert [each.text for each in chat.exchanges[0].replies] == [each.text for each in chat.samples.replies[0]]
    assert len({each[0].token_ids for each in chat.samples.replies}) > 1, "other seeds give other answers"


def test_the_next_seed_comes_after_all_of_them(served, sampled):
    chat, _ = sampled
    seeds = [served.sessions.next_seed(chat, seed) for seed in (chat.first_seed, 22, 23)]
    assert chat.first_seed < 22 and seeds == [23, 23, 23], "also where the field still holds the first of them"


def test_first_tokens_are_texts_of_the_answers_beginnings(sampled):
    chat, _ = sampled
    for pane in (0, 1):
        assert len(chat.samples.first_tokens[pane]) == 3
        for text, replies in zip(chat.samples.first_tokens[pane], chat.samples.replies, strict=True):
            assert replies[pane].text.startswith(text.strip())


def test_the_page_counts_while_they_grow_and_shows_both_sides_then(sampled):
    chat, growing = sampled
    assert "0 of 6 answers have ended" in growing
    shown = render.divergences(chat)
    assert "3 answers a side" in shown and "seeds 20 to 22" in shown and shown.count("ended by itself") == 2


def test_equal_answers_are_counted_and_rates_have_wilsons_interval():
    found = Samples.of([reply(text) for text in ("Arr.", "Hi.", "Arr.", "Yo.", "Arr.", "")], 1, 7)
    side = found.side(0, Behaviour("pirate", lambda text: "Arr" in text))
    assert side.answers[0] == ("Arr.", 3) and len(side.answers) == 4
    rate = side.rates[0]
    assert (rate.label, rate.hits, rate.n) == ("pirate", 3, 6)
    assert (round(rate.low, 3), round(rate.high, 3)) == (0.188, 0.812), "Wilson 1927, 3 of 6"


def test_answers_that_failed_are_left_out_and_counted():
    failed = Reply("", (), "error", None, 0.0, "no memory")
    side = Samples.of([reply("Hi."), failed, reply("Hi.", "length"), failed], 1, 7).side(0, None)
    assert (side.n, side.failed, side.answers) == (2, 2, (("Hi.", 2),))
    assert (side.rates[0].hits, side.rates[0].n) == (1, 2)


def test_what_models_wrote_is_escaped(sampled):
    chat = replace(sampled[0], samples=Samples.of([reply("<b>x</b>")] * 4, 2, 7))
    assert "<b>x" not in summary(chat) and "&lt;b&gt;" in summary(chat)


def test_blind_panes_keep_their_samples_hidden_until_the_vote(served):
    chat = served.sessions.restart("blind samples")
    for _ in served.sessions.answer(chat, SIDES, "Hello.", SHORT, blind=True, samples=2):
        pass
    assert "answers a side" not in render.divergences(chat) and "what was sent" not in render.panes(chat)
    before, order = chat.samples, chat.order
    chat.reveal()
    assert chat.samples == before.in_order(order) and "answers a side" in render.divergences(chat)


@pytest.mark.parametrize(("samples", "seed", "words"), [(33, 7, "1 to 32"), (8, HIGHEST_SEED, "past the highest")])
def test_too_many_are_refused_and_the_conversation_stays(served, samples, seed, words):
    chat = served.sessions.restart("too many")
    with pytest.raises(UserError, match=words):
        next(served.sessions.answer(chat, SIDES, "Hello.", replace(SHORT, seed=seed), samples=samples))
    assert not chat.exchanges


class _Details:
    def __init__(self, *names):
        from registry.version_metrics import Score
        from registry.versions import Version

        self.scores = [Score(name, 0.1, 0.9, name) for name in names]
        self.version = Version("x", 1, "", "", {}, ())


def test_a_version_shows_the_behaviour_that_its_run_measured(monkeypatch):
    from registry import lineage

    names = frozenset({"test/recall_positive", "test/recall_negative", "test/recall_macro", "base/n"})
    monkeypatch.setattr(lineage, "metric_names", lambda run_id: names)
    pirate = behaviour_of(_Details("chrf", "lexicon_rate"))
    assert pirate.is_shown_by("Arr, me hearty!") and not pirate.is_shown_by("Hello.")
    labels = behaviour_of(_Details("accuracy", "invalid_rate"))
    assert "negative or positive" in labels.label
    assert labels.is_shown_by(" Positive.") and not labels.is_shown_by("It is positive")
    assert behaviour_of(_Details("chrf")) is None
    named = _Details("chrf")  # metrics=chrf: the style is a tag
    named.version.tags["style"] = "pirate"
    assert behaviour_of(named) is not None


def test_what_was_sent_is_the_prompt_with_its_special_tokens_and_length(sampled):
    chat, _ = sampled
    seen = chat.rendered[0]
    assert "".join(text for text, _ in seen.pieces).count("Hello.") == 1
    assert {text for text, special in seen.pieces if special} and seen.cut == 0
    shown = render.panes(chat)
    assert f"what was sent: {seen.tokens} of {seen.context:,} tokens" in shown and 'class="parley-special"' in shown


def test_a_prompt_that_does_not_fit_says_how_many_tokens_were_cut(served):
    group = served.pool.open([SIDES[0]])
    long = "word " * 400
    context = group.rendered("Hello.", (), "", 4)[0].context
    [seen] = group.rendered(long * (context // 400 + 1), (), "", 4)
    assert seen.tokens == context - 4 and seen.cut > 0
