"""The colours can be read in both modes, and the style holds nothing that Gradio would lose."""

import re

import pytest

from demo.transcript_html import STYLE

CSS = re.sub(r"/\*.*?\*/", "", STYLE.read_text(), flags=re.DOTALL)
BLOCKS = re.findall(r"(?:^|\n)\s*(:root|\.dark|\.parley-standalone) \{\n([^}]*--parley-ink[^}]*)\}", CSS)
MODES = {name: dict(re.findall(r"--parley-([\w-]+): (#[0-9a-f]{6});", body)) for name, body in BLOCKS}
GROUNDS = ("surface", "sunken")
#: text colours and what they stand on
TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "teal", "orange", "good", "bad") for ground in GROUNDS),
    ("ink", "teal-tint"), ("teal", "teal-tint"), ("orange", "gone"), ("gone-ink", "gone"), ("new-ink", "new"),
    ("good", "good-tint"), ("doubt", "doubt-tint"), ("bad", "bad-tint"),
]  # fmt: skip
#: lines and marks that carry meaning
MARKS = [("teal", "surface"), ("ring", "surface"), ("soft", "surface")]


def luminance(colour):
    """Relative luminance as WCAG 2 defines it."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", [":root", ".dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (MARKS, 3.0)])
def test_text_and_marks_stand_out_in_both_modes(mode, pairs, least):
    weak = {pair: contrast(MODES[mode][pair[0]], MODES[mode][pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < least} == {}


def test_the_kept_page_is_dark_in_the_same_colours_as_the_app():
    assert MODES[".dark"] == MODES[".parley-standalone"]
    assert set(MODES[".dark"]) == set(MODES[":root"])


def test_every_colour_that_is_used_is_defined():
    set_by_rules = {"tone"}  # which of the colours a token has
    assert set(re.findall(r"var\(--parley-([\w-]+)\)", CSS)) - set_by_rules == set(MODES[":root"])


def test_every_class_is_the_projects_own():
    selectors = " ".join(re.findall(r"([^{}]+)\{", CSS))
    assert {name for name in re.findall(r"\.([a-z][\w-]*)", selectors) if not name.startswith("parley-")} == {"dark"}


def test_gradio_loses_none_of_the_rules():
    assert set(re.findall(r"@[\w-]+", CSS)) <= {"@media", "@keyframes"}
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", CSS)
    assert len(rules) > 80
    for selector, body in rules:
        assert "," not in selector, selector
        for shorthand in re.findall(r"(?<![\w-])(border|background|font|margin|padding):[^;]*var\(", body):
            assert not re.search(rf"(?<![\w-]){shorthand}-(?!radius|collapse)\w+[\w-]*:", body), selector


def test_motion_focus_and_phones_are_thought_of():
    assert "prefers-reduced-motion" in CSS and ":focus-visible" in CSS and "max-width: 640px" in CSS
