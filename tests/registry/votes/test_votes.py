"""Votes say no more than people said: each is kept once, found whole, and counted by rules that can be checked."""

import itertools
import json
import threading
import time

import pytest
from mlflow.entities import Feedback
from mlflow.tracing.client import TracingClient
from mlflow.tracking import MlflowClient

from data.errors import UserError
from data.formats.files import read_rows
from evals.intervals import wilson
from inference.transcript import Exchange, ModelInfo, Reply, Sampling, Transcript
from registry.errors import TrackingUnavailable
from registry.votes import outbox
from registry.votes import store as vote_store
from registry.votes.outbox import VoteOutbox
from registry.votes.votes import (
    LONGEST_COMMENT,
    Side,
    Standing,
    Vote,
    from_json,
    head_to_head,
    no_pair,
    preference_pairs,
    win_rates,
)
from tests.processes import free_port, wait_until

NUMBERS = itertools.count()
BASE, TUNED = "pirate/3:base", "pirate/3"


def side(reference, text="Aye.", ended="end", earlier=()):
    voice = ModelInfo(reference, "lora", "ab12", "bundled", "cd34", 41_000)
    return Side(voice, Reply(text, (5, 6, 7), ended, 0.25, 1.5), earlier)


def vote(choice="right", left=None, right=None, **more):
    given = {
        "exchange": f"exchange-{next(NUMBERS)}",
        "voter": "session-1",
        "blind": True,
        "prompt": "Where are my keys?",
        "left": left or side(BASE, "I don't know."),
        "right": right or side(TUNED, "Below deck, matey!"),
        "sampling": Sampling(seed=11),
        "asked_at_s": 1_700_000_000.5,
        **more,
    }
    return Vote(choice=choice, **given)


def feedback(trace_id):
    return [each for each in TracingClient().get_trace_info(trace_id).assessments if isinstance(each, Feedback)]


def traces():
    found = MlflowClient().get_experiment_by_name(vote_store.EXPERIMENT)
    return TracingClient().search_traces(locations=[found.experiment_id], include_spans=False) if found else []


# Values


def test_a_vote_is_made_of_the_last_exchange_of_a_transcript():
    voices = tuple(side(reference).voice for reference in (BASE, "pirate/2", TUNED))
    exchanges = tuple(
        Exchange(prompt, tuple(Reply(f"{prompt}{pane}", (1,), "end", 0.1, 0.2) for pane in range(3)), (None,) * 3)
        for prompt in ("a", "b")
    )
    rest = {"exchange": "e", "voter": "v", "choice": "left", "blind": True, "asked_at_s": 5.0}
    made = Vote.on(Transcript(voices, Sampling(seed=3), exchanges), (2, 0), **rest)
    assert (made.versions, made.prompt, made.sampling.seed) == ((TUNED, BASE), "b", 3)
    assert (made.left.reply.text, made.left.earlier) == ("b2", (("a", "a2"),))
    assert (made.right.reply.text, made.right.earlier) == ("b0", (("a", "a0"),))
    assert made.winner == made.left and made.loser == made.right


def test_a_vote_comes_back_from_json_as_it_was():
    made = vote(left=side(BASE, "no\u2028\n\U0001f99c", earlier=(("Hi.", "Ho."),)), comment="why not")
    assert from_json(made.to_json()) == made
    assert "\n" not in made.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"left": 1, "right": 2}'])
def test_what_is_no_vote_is_refused(text):
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"choice": "middle"}, "a vote is one of left, right, tie, both_bad, not 'middle'"),
        ({"comment": "x" * (LONGEST_COMMENT + 1)}, "at most 500 characters, not 501"),
        ({"left": side(TUNED)}, "both sides are pirate/3: there is nothing to choose between"),
    ],
)
def test_a_vote_that_makes_no_sense_is_refused(wrong, reason):
    with pytest.raises(UserError, match=reason):
        vote(**wrong)


# The store


def test_a_vote_is_found_again_with_both_answers_and_its_tags(store):
    made = vote(left=side(BASE, "No.", earlier=(("Hi.", "Ho."),)), comment="sounds right")
    trace = TracingClient().get_trace(vote_store.record(made))
    assert vote_store.load("pirate") == [made]
    kept = {"left_version": BASE, "right_version": TUNED, "blind": "true", "voter": "session-1", "seed": "11"}
    assert kept.items() <= trace.info.tags.items()
    root, left, right = trace.data.spans
    assert root.inputs["prompt"] == made.prompt and root.outputs == {"left": "No.", "right": "Below deck, matey!"}
    assert [message["content"] for message in left.inputs] == ["Hi.", "Ho.", made.prompt]
    assert (left.outputs, right.get_attribute("version"), right.get_attribute("tokens")) == ("No.", TUNED, 3)
    assert (root.parent_id, left.parent_id, right.parent_id) == (None, root.span_id, root.span_id)


def test_spans_have_the_times_of_the_answers(store):
    left = TracingClient().get_trace(vote_store.record(vote())).data.spans[1]
    assert left.start_time_ns == 1_700_000_000_500_000_000
    assert left.end_time_ns - left.start_time_ns == 1_500_000_000
    assert [event.timestamp - left.start_time_ns for event in left.events] == [250_000_000]


@pytest.mark.parametrize(("choice", "notes"), [("left", (BASE, TUNED)), ("right", (TUNED, BASE)), ("tie", ("", ""))])
def test_the_feedback_is_a_humans_and_names_the_preferred_version(store, choice, notes):
    [given] = feedback(vote_store.record(vote(choice)))
    assert (given.name, given.value, given.source.source_type) == ("preferred", choice, "HUMAN")
    assert tuple(given.metadata.get(key, "") for key in ("preferred_version", "other_version")) == notes


def test_votes_are_found_by_a_query_over_feedback_and_version(store):
    for choice in ("left", "right"):
        vote_store.record(vote(choice))
    query = f"feedback.preferred = 'right' AND tags.right_version = '{TUNED}'"
    found = TracingClient().search_traces(locations=[traces()[0].info.experiment_id], filter_string=query)
    assert len(found) == 1


def test_a_second_vote_of_the_same_voter_takes_the_place_of_the_first(store):
    first = vote("left")
    second = vote("tie", exchange=first.exchange, blind=False)
    assert vote_store.record(first) == vote_store.record(second)
    assert vote_store.load() == [second]
    assert sorted((each.value, each.valid) for each in feedback(vote_store.record(second))) == [
        ("left", False),
        ("tie", True),
    ]
    assert traces()[0].info.tags["blind"] == "false"


def test_two_voters_on_one_exchange_are_two_votes(store):
    first = vote("left")
    vote_store.record(first)
    vote_store.record(vote("tie", exchange=first.exchange, voter="session-2"))
    assert [each.choice for each in vote_store.load()] == ["left", "tie"]


def test_a_first_vote_that_arrives_after_the_second_changes_nothing(store):
    first = vote("left")
    second = vote("right", exchange=first.exchange)
    vote_store.record(second)
    vote_store.record(first)
    assert vote_store.load() == [second]


def test_a_vote_sent_twice_is_kept_once(store):
    made = vote()
    assert len({vote_store.record(made), vote_store.record(made)}) == 1
    assert (len(traces()), len(feedback(vote_store.record(made)))) == (1, 1)


def test_a_vote_whose_writing_was_interrupted_is_completed(store, monkeypatch):
    made = vote()
    with monkeypatch.context() as patch:
        patch.setattr(TracingClient, "start_trace", lambda *_: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(OSError, match="cut"):
            vote_store.record(made)
    assert vote_store.load() == []
    vote_store.record(made)
    assert vote_store.load() == [made]


def test_votes_are_loaded_by_model_page_after_page(store, monkeypatch):
    monkeypatch.setattr(vote_store, "PAGE", 2)
    mine = [vote(right=side("pirate/4")), vote(left=side("other/1")), vote()]
    others = [vote(left=side("pirat/1"), right=side("pirates/1"))]
    for each in [*mine, *others]:
        vote_store.record(each)
    assert vote_store.load("pirate") == mine
    assert len(vote_store.load()) == 4
    assert vote_store.load("other") == mine[1:2]
    assert vote_store.load("o'ther%") == []


def test_feedback_edited_beyond_recognition_is_no_vote(store):
    trace_id = vote_store.record(vote())
    TracingClient().log_assessment(trace_id, Feedback(name="preferred", value=3.5, metadata={"cast_at_s": "9e9"}))
    assert vote_store.load() == []


def test_an_empty_store_has_no_votes(store):
    assert vote_store.load("pirate") == []


def test_a_store_that_does_not_answer_is_one_line(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingUnavailable, match="the votes can't be read: "):
        vote_store.load("pirate", f"http://127.0.0.1:{free_port()}")


# The box


@pytest.fixture
def box(store, tmp_path):
    """``box(uri)`` opens a box on the test's folder of undelivered votes; all are closed in the end."""
    opened = []

    def open_box(uri="", **more):
        with pytest.MonkeyPatch.context() as patch:
            if uri:
                patch.setenv("MLFLOW_TRACKING_URI", uri)
            opened.append(VoteOutbox(tmp_path / "votes", **more))
        return opened[-1]

    yield open_box
    for each in opened:
        each.close(0)


@pytest.fixture
def nowhere(monkeypatch):
    """The address of a server that nobody answers at."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outbox, "RETRY_S", 600.0)  # only a new vote, or a flush, makes it try again
    return f"http://127.0.0.1:{free_port()}"


def test_casting_does_not_wait_and_flushing_does(box, tmp_path, monkeypatch):
    record, go_on = vote_store.record, threading.Event()
    monkeypatch.setattr(vote_store, "record", lambda *given: (go_on.wait(240), record(*given)))
    made = [vote(), vote()]
    one = box()
    for each in made:
        one.add(each)
    assert not one.flush(0.05) and vote_store.load() == []
    go_on.set()
    assert one.flush(240)
    assert vote_store.load() == made
    assert list((tmp_path / "votes").iterdir()) == []


def test_a_box_outlives_a_store_that_does_not_answer_and_delivers_each_vote_once(box, nowhere, store, tmp_path, capsys):
    one = box(nowhere)
    made = [vote("left"), vote("right"), vote("tie")]
    for each in made[:2]:
        one.add(each)
    assert not one.flush(0.5)
    assert len(list((tmp_path / "votes").glob("*.json"))) == 2
    one._uri = store  # the server is back, and a new vote makes the outbox try
    one.add(made[2])
    wait_until(lambda: not list((tmp_path / "votes").iterdir()), "the delivery", patience_s=20)
    assert one.flush(1)
    assert vote_store.load() == made
    assert [len(each.info.assessments) for each in traces()] == [1, 1, 1]
    printed = capsys.readouterr().out
    assert printed.count("does not answer") == printed.count("is back") == 1


def test_a_later_box_delivers_what_an_earlier_one_could_not(box, nowhere, tmp_path):
    made = [vote("left"), vote("right")]
    lost = box(nowhere)
    for each in made:
        lost.add(each)
    lost.flush(0.3)
    lost.close(0)
    assert vote_store.load() == []
    assert box().flush(240)
    assert vote_store.load() == made
    (tmp_path / "votes" / "1.json").write_text(made[0].to_json())  # as if it had been ended before it knew
    assert box().flush(240)
    assert [len(each.info.assessments) for each in traces()] == [1, 1]


def test_a_vote_that_the_store_refuses_does_not_stop_the_others(box, tmp_path, monkeypatch, capsys):
    record = vote_store.record

    def refuse(given, uri):
        if given.comment == "bad":
            raise ValueError("no")
        return record(given, uri)

    monkeypatch.setattr(vote_store, "record", refuse)
    one, good = box(), vote()
    one.add(vote(comment="bad"))
    one.add(good)
    assert not one.flush(240)
    assert vote_store.load() == [good]
    [kept] = (tmp_path / "votes").iterdir()
    assert from_json(kept.read_text()).comment == "bad" and str(kept) in capsys.readouterr().out


def test_a_full_box_says_so(box, nowhere):
    one = box(nowhere, capacity=1)
    one.add(vote())
    with pytest.raises(UserError, match="too many votes are waiting"):
        one.add(vote())


def test_a_broken_file_among_the_undelivered_votes_is_left_alone(box, tmp_path):
    (tmp_path / "votes").mkdir()
    (tmp_path / "votes" / "0.json").write_text('{"cut')
    (tmp_path / "votes" / "1.json").write_text(vote().to_json())
    assert box().flush(240)
    assert len(vote_store.load()) == 1
    assert [path.name for path in (tmp_path / "votes").iterdir()] == ["0.json"]


def test_the_end_of_the_process_delivers_what_was_cast(box, monkeypatch):
    at_exit = []
    monkeypatch.setattr(outbox.atexit, "register", at_exit.append)
    record = vote_store.record
    monkeypatch.setattr(vote_store, "record", lambda *given: (time.sleep(0.3), record(*given)))
    made = [vote(), vote()]
    one = box()
    for each in made:
        one.add(each)
    [last] = at_exit
    last()
    assert vote_store.load() == made


# What votes say


def test_a_win_rate_leaves_ties_and_votes_for_neither_out():
    votes = [vote(choice) for choice in ["right"] * 3 + ["left", "tie", "tie", "both_bad"]]
    assert win_rates(votes) == [Standing(TUNED, 3, 1, 2, 1), Standing(BASE, 1, 3, 2, 1)]
    best = win_rates(votes)[0]
    assert (best.votes, best.win_rate) == (7, 0.75)
    assert best.interval == pytest.approx(wilson(3, 4))


def test_nothing_is_said_of_a_version_that_no_vote_decided_on():
    [one, _] = win_rates([vote("tie")])
    assert (one.win_rate, one.interval) == (None, None)


def test_blind_votes_and_others_are_never_added_up():
    votes = [vote("right"), vote("left", blind=False), vote("left", blind=False)]
    assert [(each.version, each.wins) for each in win_rates(votes)] == [(TUNED, 1), (BASE, 0)]
    assert [(each.version, each.wins) for each in win_rates(votes, blind=False)] == [(BASE, 2), (TUNED, 0)]
    assert head_to_head(votes) == [Standing(TUNED, 1, 0, 0, 0, BASE)]
    assert head_to_head(votes, blind=False) == [Standing(BASE, 2, 0, 0, 0, TUNED)]


def test_head_to_head_tells_each_pair_once_whichever_side_it_stood_on():
    other = side("pirate/2")
    votes = [vote("right"), vote("left", left=side(TUNED), right=side(BASE)), vote("left")]
    votes += [vote("tie", right=other), vote("left", left=other, right=side(TUNED))]
    assert head_to_head(votes) == [
        Standing(TUNED, 2, 1, 0, 0, BASE),
        Standing("pirate/2", 1, 0, 0, 0, TUNED),
        Standing("pirate/2", 0, 0, 1, 0, BASE),
    ]


# What can be learned of them


def test_a_decided_vote_becomes_a_preference_pair():
    turns = (("Hi.", "Ho."),)
    made = vote("left", left=side(BASE, " Aye. ", earlier=turns), right=side(TUNED, "Nay.", earlier=turns))
    [row] = preference_pairs([made])
    assert row == {
        "prompt": [
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": "Ho."},
            {"role": "user", "content": made.prompt},
        ],
        "chosen": [{"role": "assistant", "content": "Aye."}],
        "rejected": [{"role": "assistant", "content": "Nay."}],
        "preferred": BASE,
        "vote_id": made.vote_id,
        "voter": made.voter,
    }


@pytest.mark.parametrize(
    ("useless", "reason"),
    [
        (vote("tie"), "no answer was preferred"),
        (vote("both_bad"), "no answer was preferred"),
        (vote(right=side(TUNED, "Arr, I", ended="length")), "the preferred answer was cut off"),
        (vote(right=side(TUNED, " ")), "the preferred answer is blank"),
        (vote(right=side(TUNED, "I don't know. ")), "both answers are the same"),
        (vote(right=side(TUNED, earlier=(("Hi.", "Arr!"),))), "the two conversations differed before"),
    ],
)
def test_a_vote_that_would_teach_something_else_makes_no_pair(useless, reason):
    assert no_pair(useless) == reason
    assert list(preference_pairs([useless])) == []


def test_a_pair_that_several_people_voted_for_is_one_row_and_one_that_they_disagree_on_is_two():
    rows = list(preference_pairs([vote("right"), vote("right", voter="session-2"), vote("left")]))
    assert [row["preferred"] for row in rows] == [TUNED, BASE]


def test_the_pairs_are_rows_that_teach_the_chosen_answers(tmp_path):
    turns = (("Hi.", "Ho."),)
    votes = [vote(), vote(left=side(BASE, "Another."))]  # one answer that won against two
    votes.append(vote("left", left=side(BASE, earlier=turns), right=side(TUNED, "Nay.", earlier=turns)))
    path = tmp_path / "votes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in preference_pairs(votes)))
    assert [row.turns for row in read_rows(str(path))] == [
        (("Where are my keys?", "Below deck, matey!"),),
        (("Hi.", "Ho."), ("Where are my keys?", "Aye.")),
    ]
