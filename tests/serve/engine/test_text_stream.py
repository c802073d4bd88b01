"""What may be shown of an answer: nothing of a stop string, whole characters, tokens that joined are the text."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.detokenizer import Detokenizer
from inference.sampling import TokenLogProbs
from serve.engine.text_stream import MIN_LOGPROB, TextStream
from serve.engine.types import Piece

END = 0


class Table(Detokenizer):
    """Tokens with the bytes that a test gives; token 0 is a control token."""

    def __init__(self, table: list[bytes]):
        super().__init__(SimpleNamespace(added_tokens_decoder={END: SimpleNamespace(content="<end>", special=True)}))
        self._known = dict(enumerate([b"<end>", *table]))


def written(table: list[bytes], stop: tuple[str, ...] = (), chances: bool = True, ended: str = "length") -> list[Piece]:
    """The pieces of an answer of the tokens 1, 2, ... of ``table``."""
    writer, pieces = TextStream(Table(table), stop), []
    for token in range(1, len(table) + 1):
        pieces.append(writer.append(token, TokenLogProbs(-1.0) if chances else None))
        if pieces[-1].ended:
            return pieces
    return [*pieces, writer.end(ended)]


def text(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def joined(pieces: list[Piece]) -> bytes:
    return b"".join(bytes(token.bytes) for piece in pieces for token in piece.tokens)


def test_a_stop_string_across_tokens_is_never_shown():
    pieces = written([b" one", b" t", b"w", b"o th", b"ree"], ("two",))
    assert [piece.text for piece in pieces] == ["one", " ", "", ""]
    assert pieces[-1].ended == "stop"
    assert [token.text for piece in pieces for token in piece.tokens] == ["one", " "]


def test_what_could_have_become_a_stop_string_is_shown_when_it_does_not():
    pieces = written([b"tw", b"elve", b" tw"], ("two",))
    assert [piece.text for piece in pieces] == ["", "twelve", " ", "tw"]
    assert pieces[-1].ended == "length"
    assert joined(pieces) == b"twelve tw"


def test_a_stop_string_that_overlaps_its_own_beginning_is_found():
    assert text(written([b"a", b"a", b"a", b"b", b"c"], ("aab",))) == "a"


def test_a_character_across_tokens_is_shown_once_it_is_whole():
    raw = "é🙂".encode()
    pieces = written([b"a", raw[:1], raw[1:3], raw[3:5], raw[5:], b"b"])
    assert [piece.text for piece in pieces] == ["a", "", "é", "", "🙂", "b", ""]
    assert [token.text for piece in pieces for token in piece.tokens] == [
        "a", "\\xc3", "\\xa9\\xf0", "\\x9f\\x99", "\\x82", "b"
    ]  # fmt: skip
    assert joined(pieces).decode() == text(pieces)


def test_half_a_character_at_the_end_is_a_mark():
    assert text(written([b"a", b"\xf0\x9f"])) == "a\ufffd"


def test_the_templates_blanks_are_left_out_of_text_and_tokens():
    writer = TextStream(Table([b" ", b" Hi", b" there", b" No"]))
    pieces = [writer.append(token, TokenLogProbs(-1.0, [(token, -1.0), (4, -2.0)])) for token in (1, 2, 3)]
    assert text(pieces) == "Hi there"
    assert [token.text for piece in pieces for token in piece.tokens] == ["", "Hi", " there"]
    assert [piece.tokens[0].top[1][0] for piece in pieces] == ["No", "No", " No"]


def test_a_control_token_is_no_text_but_is_named():
    writer = TextStream(Table([b"a"]))
    piece = writer.append(END, TokenLogProbs(-1.0, [(END, -1.0)]))
    assert (piece.text, piece.tokens[0].text, piece.tokens[0].bytes) == ("", "<end>", ())
    assert piece.tokens[0].top[0][0] == "<end>"


def test_no_chance_at_all_is_a_number():
    token = TextStream(Table([b"a"])).append(1, TokenLogProbs(float("-inf"), [(1, float("-inf"))])).tokens[0]
    assert (token.logprob, token.top[0][1]) == (MIN_LOGPROB, MIN_LOGPROB)


tables = st.lists(st.text("ab é🙂", max_size=4).map(str.encode) | st.binary(max_size=2), max_size=12)
stops = st.lists(st.text("ab é🙂", min_size=1, max_size=4), max_size=4).map(tuple)


@settings(max_examples=400, deadline=None)
@given(tables, stops, st.booleans())
def test_whatever_comes_no_stop_string_is_shown_and_nothing_is_lost(table: list[bytes], stop: Any, chances: bool):
    pieces = written(table, stop, chances)
    raw = b"".join(table).lstrip()
    shown = joined(pieces)
    if chances:
        assert text(pieces) == shown.decode("utf-8", "replace")
        assert raw.startswith(shown)
        assert not any(each.encode() in shown for each in stop)
        if pieces[-1].ended == "stop":
            assert any(raw[len(shown) :].startswith(each.encode()) for each in stop)
        else:
            assert shown == raw
    else:
        assert text(pieces) == text(written(table, stop))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("ab", max_size=3), max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_only_what_could_become_a_stop_string_is_held_back(words: list[str], stop: Any):
    pieces, come = written([word.encode() for word in words], tuple(stop)), ""
    shown = ""
    for word, piece in zip(words, pieces, strict=False):
        if piece.ended:
            break
        come, shown = come + word, shown + piece.text
        ends = (come[-n:] for n in range(len(come), 0, -1))
        assert come == shown + next((end for end in ends if any(each.startswith(end) for each in stop)), "")


@pytest.mark.parametrize("stop", ["", "é"])
def test_an_empty_stop_string_stops_nothing_and_a_long_character_is_one(stop):
    assert text(written([b"a", "é".encode()[:1], "é".encode()[1:], b"b"], (stop,))) == ("aéb" if not stop else "a")


def streamed(thought: tuple[str, str], *table: bytes) -> tuple[str, str]:
    """(what is shown before the end, all that is shown) of an answer of ``table`` by a model that may think."""
    writer = TextStream(Table(list(table)), ("STOP",), thought)
    shown = "".join(writer.append(token).text for token in range(1, len(table) + 1))
    return shown, shown + writer.end("length").text


def test_a_thought_is_held_back_and_left_out_of_the_answer():
    thought = ("<think>\n", "\n</think>\n\n")
    assert streamed(thought, b"<thi", b"nk>\n", b"STOP.\n</", b"think>", b"\n\n", b"Ahoy", b"!") == ("Ahoy!", "Ahoy!")
    assert streamed(("", "\n</think>\n\n"), b"Hm.\n", b"</think>\n", b"\nAhoy") == ("Ahoy", "Ahoy")


def test_an_answer_without_a_thought_is_shown_at_once_and_a_thought_that_does_not_end_is_the_answer():
    thought = ("<think>\n", "\n</think>\n\n")
    assert streamed(thought, b"<thi", b"s> Aye", b"!") == ("<this> Aye!", "<this> Aye!")
    assert streamed(thought, b"<think>", b"\nHm") == ("", "<think>\nHm")
