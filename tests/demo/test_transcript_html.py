"""A kept transcript is one page that needs nothing else and gives back exactly what went in."""

import html.parser
import random
import re

import pytest

from data.errors import UserError
from demo.transcript_html import STYLE, read, to_html
from inference.transcript import Divergence, Exchange, ModelInfo, Reply, Sampling, Transcript

BASE = ModelInfo("pirate/3:base", "base", "5cce91d2", "bundled", "5cce91d2", 48_000_000)
TUNED = ModelInfo("pirate/3", "lora", "9f2c31aa", "bundled", "5cce91d2", 812_345)
PART = Divergence(0, ("You", "Ye"), ((("You", 0.4),), (("Ye", 0.77),)))
ONE, TWO = Reply("You go", (1, 2), "end", 0.2, 0.4), Reply("Ye go", (3, 2), "length", 0.2, 0.4)
WHOLE = Transcript((BASE, TUNED), Sampling(0.7, 1.0, 60, 7), (Exchange("Where?", (ONE, TWO), (None, PART)),))


class Elements(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes, and the text outside style and script."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self.inside = [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("style", "script"):
            self.text += data


def test_the_page_shows_voices_settings_words_and_partings():
    page = to_html(WHOLE)
    text = " ".join(Elements(page).text.split())
    wanted = ["BASE bundled", "pirate/3", "digest 9f2c31aa", "temperature0.7", "seed7, the same", "Where?"]
    wanted += [
        "first difference at token 1",
        "50% of the words in common",
        "cut at the length cap",
        "python -m steps.replay FILE",
    ]
    assert [part for part in wanted if part not in text] == []
    assert '<ins class="parley-ins">Ye</ins> go' in page and '<del class="parley-del">You</del> go' in page


def test_the_page_asks_nothing_of_the_network_and_runs_nothing():
    page = to_html(WHOLE)
    elements = Elements(page).found
    assert not [tag for tag, _ in elements if tag in ("link", "img", "iframe", "base", "form", "object")]
    assert not [at for _, attrs in elements for at in attrs if at in ("src", "href", "srcset") or at.startswith("on")]
    assert [attrs for tag, attrs in elements if tag == "script"] == [{"type": "application/json", "id": "transcript"}]
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not re.search(r"url\(|@import|</", STYLE.read_text())


HOSTILE = "</script><script>alert(1)</script><!--<script>]]>&amp;\u2028\x00\"'{style}{json}%s \\u003c"


def hostile():
    voice = ModelInfo(HOSTILE, "lora", HOSTILE, HOSTILE, HOSTILE, 3)
    reply = Reply(HOSTILE, (1,), "error", None, 0.1, HOSTILE)
    part = Divergence(0, (HOSTILE, "x"), (((HOSTILE, 0.5),), ((HOSTILE, 0.5),)))
    good = Reply(HOSTILE, (1,), "end", 0.1, 0.2)
    exchanges = (Exchange(HOSTILE, (good, good), (None, part)), Exchange(HOSTILE, (reply, good), (None, None)))
    return Transcript((voice, voice), Sampling(), exchanges)


def test_hostile_text_stays_text_and_comes_back_as_it_was():
    page = to_html(hostile())
    assert len([tag for tag, _ in Elements(page).found if tag == "script"]) == 1
    page.encode("utf-8")
    assert read(page) == hostile()


def test_read_takes_the_page_the_json_and_either_with_a_byte_order_mark():
    for text in (to_html(WHOLE), WHOLE.to_json(), "\ufeff" + to_html(WHOLE), "\n" + WHOLE.to_json()):
        assert read(text) == WHOLE


def test_any_text_survives_the_page():
    draw = random.Random(5)
    signs = "<>/!-&\"'\\{}\n\u2028script é😀"
    for _ in range(100):
        said = ["".join(draw.choices(signs, k=draw.randrange(40))) for _ in range(3)]
        replies = (Reply(said[1], (1,), "end", 0.1, 0.2), Reply(said[2], (2,), "end", 0.1, 0.2))
        transcript = Transcript((BASE, TUNED), Sampling(), (Exchange(said[0], replies, (None, None)),))
        assert read(to_html(transcript)) == transcript


def test_a_comparison_without_a_word_is_a_page_too():
    assert read(to_html(Transcript((BASE,), Sampling()))) == Transcript((BASE,), Sampling())


@pytest.mark.parametrize("text", ["", "hello", "{}", "<html></html>", '{"format": "other"}', "[" * 100_000, "[]"])
def test_what_is_no_transcript_is_refused_in_one_line(text):
    with pytest.raises(UserError, match="no transcript") as refused:
        read(text)
    assert "\n" not in str(refused.value)


def test_a_file_without_end_is_refused_before_it_is_parsed(monkeypatch):
    monkeypatch.setattr("demo.transcript_html.LARGEST_CHARS", 100)
    with pytest.raises(UserError, match="more than 100"):
        read(to_html(WHOLE))
