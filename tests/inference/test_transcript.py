"""A transcript survives JSON whole, and what is none is refused in one line."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from data.errors import UserError
from inference.transcript import Divergence, Exchange, ModelInfo, Reply, Sampling, Transcript, from_json

TOP = ((" the", 0.41), (" yer", 0.2))
WHOLE = Transcript(
    (
        ModelInfo("pirate/3:base", "base", "9f2c", "bundled", "9f2c", 10),
        ModelInfo("pirate/3", "lora", "aa", "bundled", "9f2c", 4),
    ),
    Sampling(0.7, 0.9, 60, 7),
    (
        Exchange(
            'Ahoy "you" \u2028 </script> 🦜',
            (
                Reply("the sea", (5, 9, 0), "end", 0.2, 1.5),
                Reply("", (), "error", None, 0.0, "it is not there"),
            ),
            (None, Divergence(1, (" the", " yer"), (TOP, TOP))),
        ),
    ),
)


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    raw = json.loads(WHOLE.to_json())
    change(raw)
    return json.dumps(raw)


def test_a_transcript_survives_json():
    assert from_json(WHOLE.to_json()) == WHOLE
    assert next(iter(json.loads(WHOLE.to_json()))) == "format"
    empty = Transcript((), Sampling())
    assert from_json(empty.to_json()) == empty


def test_whole_numbers_where_fractions_are_meant_are_taken():
    found = from_json(changed(lambda raw: raw["sampling"].update(temperature=1)))
    assert found.sampling.temperature == 1.0 and type(found.sampling.temperature) is float


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw.update(format="another"), "does not name that format"),
        (lambda raw: raw.pop("format"), "does not name that format"),
        (lambda raw: raw.update(more=1), "transcript has not the fields"),
        (lambda raw: raw["voices"][0].pop("kind"), "voices.0. has not the fields"),
        (lambda raw: raw["voices"][0].update(reference=3), "reference is no str"),
        (lambda raw: raw["voices"][0].update(bytes=True), "bytes is no int"),
        (lambda raw: raw["voices"][0].update(bytes=1.5), "bytes is no int"),
        (lambda raw: raw.update(voices={}), "voices is no list"),
        (lambda raw: raw["sampling"].update(temperature="hot"), "temperature is no float"),
        (lambda raw: raw["sampling"].update(temperature=float("nan")), "temperature is no float"),
        (lambda raw: raw["sampling"].update(top_p=True), "top_p is no float"),
        (lambda raw: raw["sampling"].update(temperature=10**400), "int too large"),
        (lambda raw: raw["exchanges"][0].update(prompt=None), "prompt is no str"),
        (lambda raw: raw["exchanges"][0].update(prompt="\ud800"), "surrogates not allowed"),
        (lambda raw: raw["exchanges"][0]["replies"][0].update(token_ids=[1, "2"]), "token_ids.1. is no int"),
        (lambda raw: raw["exchanges"][0]["replies"][0].update(token_ids="12"), "token_ids is no list"),
        (lambda raw: raw["exchanges"][0]["replies"].pop(), "not one reply and one parting a voice"),
        (lambda raw: raw["exchanges"][0]["partings"][1].update(chosen=["a"]), "chosen has 1 entries, not 2"),
        (lambda raw: raw["exchanges"][0]["partings"][1]["tops"][0].append([1, 0.5]), r"tops.0..2..0. is no str"),
        (lambda raw: raw.update(exchanges=[5]), "exchanges.0. has not the fields"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named_in_one_line(change, says):
    with pytest.raises(
        UserError, match=f"^this is no transcript of the format parley-transcript-1: .*{says}"
    ) as caught:
        from_json(changed(change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", '"format"', "{", '{"format": "parley-transcript-1"}', "[" * 100_000, '{"a":' * 100_000]
    + ["9" * 5000, "\x00"],
    ids=lambda text: text[:12] or "empty",
)
def test_foreign_and_broken_json_is_refused(text):
    with pytest.raises(UserError, match="^this is no transcript of the format"):
        from_json(text)


@pytest.mark.parametrize(
    ("reply", "speed"),
    [
        (Reply("", (1, 2, 3), "end", 1.0, 2.0), 2.0),
        (Reply("", (1,), "end", 1.0, 2.0), 0.0),
        (Reply("", (), "error", None, 0.0), 0.0),
        (Reply("", (1, 2), "end", 1.0, 1.0), 0.0),
    ],
)
def test_speed_is_counted_from_the_first_token(reply, speed):
    assert reply.tokens_per_s == speed
