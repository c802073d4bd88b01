"""A transcript is played again and checked token for token; whatever is another now is named."""

import json

import pytest

from data.errors import ConfigError, UserError
from demo import transcript_html
from demo.config import DemoConfig
from demo.server import make_pool
from inference.transcript import Sampling, Transcript, from_json
from steps.replay import ReplayConfig, replay
from tests.small_version import register_adapter

BASE, TUNED = "pirate/1:base", "pirate/1"
PROMPTS = ("Hello there, friend.", "Where is the boat?")


@pytest.fixture(scope="module")
def place(tiny_base, settle, tmp_path_factory):
    """A store with pirate/1 in it, in whose folder the tests run."""
    folder = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        register_adapter(tiny_base, folder)
        yield folder


@pytest.fixture(scope="module")
def said(place):
    """A conversation of two prompts as the page keeps it; both answers to the second were stopped after four tokens."""
    panel, sampling, exchanges = make_pool(DemoConfig()).open([BASE, TUNED]), Sampling(max_new_tokens=12), []
    for prompt in PROMPTS:
        *_, last = panel.generate(prompt, sampling, exchanges)
        exchanges.append(last)
    raw = json.loads(Transcript(panel.models, sampling, tuple(exchanges)).to_json())
    for pane, reply in enumerate(raw["exchanges"][1]["replies"]):
        reply["token_ids"] = reply["token_ids"][:4]
        reply["text"] = panel.loaded[pane].tokenizer.decode(reply["token_ids"], skip_special_tokens=True).strip()
        reply["ended"] = "stopped"
    return raw


@pytest.fixture
def play(said, place, capsys):
    """``play(change)`` plays the conversation after ``change(raw)``; returns its lines and what the error says."""

    def play(change=lambda raw: None, name="talk.json", form=json.dumps):
        raw = json.loads(json.dumps(said))
        change(raw)
        (place / name).write_text(form(raw))
        trouble = ""
        try:
            replay([str(place / name)])
        except UserError as error:
            trouble = str(error)
        return capsys.readouterr().out.splitlines(), trouble

    return play


def reply_of(raw, exchange, pane):
    return raw["exchanges"][exchange]["replies"][pane]


@pytest.mark.parametrize("form", ["json", "html"])
def test_what_was_said_is_said_again(play, form):
    as_html = lambda raw: transcript_html.to_html(from_json(json.dumps(raw)))  # noqa: E731
    lines, trouble = play(name=f"talk.{form}", form=as_html if form == "html" else json.dumps)
    assert trouble == ""
    assert lines[1:3] == [f"Model 1     {BASE}, unchanged", f"Model 2     {TUNED}, unchanged"]
    assert [line.partition(", ")[0] for line in lines[3:5]] == [f"Exchange 1  {v}: same" for v in (BASE, TUNED)]
    assert lines[5:7] == [f"Exchange 2  {v}: same, 4 tokens, as far as it came (stopped)" for v in (BASE, TUNED)]
    assert lines[-1] == "All 4 answers are the same, token for token."


def test_another_token_is_found_where_it_stands_with_both_texts(play):
    def change(raw):
        reply_of(raw, 0, 1)["token_ids"][2] += 1
        reply_of(raw, 0, 1)["text"] = "said\x1b[31m otherwise"

    lines, trouble = play(change)
    at = lines.index(f"Exchange 1  {TUNED}: differs at token 3")
    assert lines[at + 1] == r"  then  'said\x1b[31m otherwise'" and lines[at + 2].startswith("  now   ")
    assert f"Exchange 1  {BASE}: same" in "\n".join(lines)
    assert trouble.startswith("1 of 4 answers differ")


@pytest.mark.parametrize("change", ["prompt", "seed", "cut", "longer", "text", "stopped text"])
def test_every_forgery_is_found(play, change):
    def forge(raw):
        whole, cut = reply_of(raw, 0, 1), reply_of(raw, 1, 1)
        if change == "prompt":
            raw["exchanges"][0]["prompt"] = "Goodbye."
        elif change == "seed":
            raw["sampling"]["seed"] += 1
        elif change == "cut":
            whole["token_ids"] = whole["token_ids"][:-1]
        elif change == "longer":
            cut["token_ids"] += [1] * 20
        else:
            (whole if change == "text" else cut)["text"] += " arr"

    lines, trouble = play(forge)
    assert "answers differ" in trouble and [line for line in lines if ": differs" in line]
    if "text" in change:
        assert "the tokens are the same, the text differs" in "\n".join(lines)


def test_a_model_or_a_base_with_other_weights_is_named(play):
    def change(raw):
        raw["voices"][0]["digest"] = "0" * 16
        raw["voices"][1]["base_digest"] = "1" * 16

    lines, trouble = play(change)
    assert lines[1].startswith(f"Model 1     {BASE} has other weights: ") and "then 0000000000000000" in lines[1]
    assert lines[2].startswith(f"Model 2     {TUNED} has another base: ") and "then 1111111111111111" in lines[2]
    assert trouble.startswith("All 4 answers are the same, but not all models: pirate/1:base has other weights")


def test_a_version_that_is_gone_is_named_and_the_others_are_checked(play):
    def change(raw):
        raw["voices"][1]["reference"] = "pirate/9"

    lines, trouble = play(change)
    assert "pirate/9 is unavailable: " in lines[2] and "2 of 4 answers differ" in trouble
    assert "Exchange 1  pirate/9: differs, it fails now: " in "\n".join(lines)
    assert f"Exchange 1  {BASE}: same" in "\n".join(lines)


def test_remote_and_failed_replies_are_skipped_and_counted(play):
    def change(raw):
        raw["voices"][1] |= {"kind": "openai", "digest": "", "reference": "gpt/1"}
        reply_of(raw, 1, 0).update(ended="error", error="no memory", token_ids=[], text="")

    lines, trouble = play(change)
    assert trouble == "" and lines[-1] == "All 1 answers are the same, token for token; 3 skipped."
    assert "Exchange 1  gpt/1: skipped, remote models can't be replayed" in lines
    assert f"Exchange 2  {BASE}: skipped, it failed then" in lines


def test_nothing_to_compare_is_no_success(play):
    def all_failed(raw):
        for exchange in raw["exchanges"]:
            for reply in exchange["replies"]:
                reply.update(ended="error", error="no memory", token_ids=[], text="")

    assert play(all_failed)[1] == "Nothing could be compared; 4 skipped."
    assert "has no messages" in play(lambda raw: raw.update(exchanges=[]))[1]
    assert "temperature must be a number" in play(lambda raw: raw["sampling"].update(temperature=-1.0))[1]


@pytest.mark.parametrize(
    ("name", "holds", "words"),
    [
        ("gone.json", None, "can't be read: No such file"),
        ("odd.json", b"{}", "no transcript of the format"),
        ("odd.html", b"<html></html>", "holds no transcript"),
        ("odd.bin", b"\xff\xfe\x00", "can't be read: it is no text"),
    ],
)
def test_a_file_that_is_no_transcript_is_refused_by_its_name(place, name, holds, words):
    if holds is not None:
        (place / name).write_bytes(holds)
    with pytest.raises(ConfigError, match=f"^file=.*{name}.*{words}"):
        replay(["--file", str(place / name)])


def test_a_file_has_to_be_named():
    with pytest.raises(ConfigError, match="file names the transcript"):
        replay([])
    with pytest.raises(ConfigError, match="memory_gb must be above 0"):
        ReplayConfig(memory_gb=0)


def test_a_difference_is_exit_code_1_and_a_line(said, place, launch):
    raw = json.loads(json.dumps(said))
    reply_of(raw, 0, 0)["token_ids"][0] += 1
    (place / "bad.json").write_text(json.dumps(raw))
    step = launch(place, "steps.replay", ["bad.json"])
    assert step.wait() == 1
    assert "All" not in step.stdout and "1 of 4 answers differ" in step.stderr and "Traceback" not in step.stderr
