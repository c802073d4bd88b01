"""The curve holds what was measured, marks what matters and is drawn from odd numbers too."""

import math
import re
from xml.etree import ElementTree

import pytest

from demo.view.charts import HEIGHT, WIDTH, interval_bar, loss_curve, nice_ticks

TRAIN = [(step, 4.0 / step) for step in range(1, 10)]
EVALS = [(0, 4.0), (3, 2.0), (6, 1.5), (9, 1.75)]
SVG = "{http://www.w3.org/2000/svg}"


def drawn(*args):
    return ElementTree.fromstring(loss_curve(*args))


def having(tree, look):
    return [e for e in tree.iter() if look in (e.get("class") or "").split()]


def centre(element):
    return float(element.attrib["cx"]), float(element.attrib["cy"])


def test_each_evaluation_is_a_dot_and_the_ring_is_round_the_best():
    tree = drawn(TRAIN, EVALS, 6)
    dots = [centre(dot) for dot in having(tree, "parley-dot")]
    assert len(dots) == 4 and [x for x, _ in dots] == sorted(x for x, _ in dots)
    assert [centre(ring) for ring in having(tree, "parley-best")] == [dots[2]]
    assert dots[2][1] == max(y for _, y in dots), "the lowest loss stands lowest"
    assert having(tree, "parley-best-text")[0].text == "best 1.50 at step 6"


def test_losses_lie_where_the_axis_says():
    tree = drawn([], EVALS, None)
    labels = {e.text: float(e.attrib["y"]) - 4 for e in tree.iter(f"{SVG}text") if e.get("x") == "32"}
    heights = [centre(dot)[1] for dot in having(tree, "parley-dot")]
    assert heights[0] == pytest.approx(labels["4"], abs=0.1) and heights[1] == pytest.approx(labels["2"], abs=0.1)


def test_kept_checkpoints_are_on_the_axis_and_the_selected_one_stands_out():
    tree = drawn(TRAIN, EVALS, 6, [3, 6, 9], 3)
    assert len(having(tree, "parley-kept")) == 3 and len(having(tree, "parley-kept-now")) == 1
    assert centre(having(tree, "parley-selected")[0]) == centre(having(tree, "parley-dot")[1])
    assert not having(drawn(TRAIN, EVALS, 6, [3, 6, 9]), "parley-kept-now")


def test_the_picture_is_described_in_words():
    tree = drawn([*TRAIN, (10, math.nan)], EVALS, 6, [3], 3)
    assert tree.get("role") == "img" and tree.findtext(f"{SVG}title") == "Loss curve"
    words = tree.findtext(f"{SVG}desc") or ""
    for part in (
        "from 4.00 at step 0 to 1.75 at step 9",
        "best is 1.50 at step 6",
        "step 3 are selected",
        "1 points that are",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("train", "evals"),
    [
        ([], [(0, 4.0)]),
        ([(1, 2.0)], []),
        ([(1, 0.0)], [(0, 0.0)]),
        ([(1, math.nan), (2, math.inf), (3, -math.inf)], [(0, 4.0), (3, math.nan)]),
        ([(1, 1e9), (2, 1e-9)], [(0, 1.0)]),
        ([(1, 1e299), (2, 1.7e308)], []),
        ([(1, -3.0)], [(0, 1e-200)]),
        ([(10**12, 3.0)], [(0, 4.0), (10**12, 1.0)]),
    ],
)
def test_odd_numbers_are_drawn_within_the_picture(train, evals):
    tree = drawn(train, evals, 0, [0], 0)
    for element in tree.iter(f"{SVG}circle"):
        x, y = centre(element)
        assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
    assert not re.search(r"\b(nan|inf)\b", ElementTree.tostring(tree, "unicode"))


@pytest.mark.parametrize("train", [[], [(1, math.nan)]])
def test_a_run_without_a_finite_loss_gets_a_sentence(train):
    assert "No loss curve" in loss_curve(train, [], None)


def test_a_long_run_is_thinned_but_keeps_its_spikes():
    train = [(step, 2.0) for step in range(1, 50_001)]
    train[31_234] = (31_235, 9.0)
    svg = loss_curve(train, [], None)
    assert len(svg) < 10_000
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", svg.split('class="parley-train" d="')[1])]
    assert min(heights) < 0.5 * max(heights)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 5.2), (0, 97), (-3, 4), (0, 3e12), (0, 0), (0, 1e-9)])
def test_ticks_are_round_few_and_reach_over_the_range(low, high):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8 and ticks[0] <= low and ticks[-1] >= high * (1 - 1e-9)


def test_an_interval_says_its_figures_and_shows_them_to_scale():
    bar = interval_bar(0.62, (0.41, 0.79))
    assert 'aria-label="62%, 95 % interval 41% to 79%"' in bar
    assert "width:62.0%" in bar and "left:41.0%;width:38.0%" in bar
    assert "no votes yet" in interval_bar(None, None)
    assert "width:100.0%" in interval_bar(1.2, (0.7, 1.3))
