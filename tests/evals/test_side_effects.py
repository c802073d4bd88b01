"""Side effects are shown by whole intervals and named, and are told apart from the spread of the trained style."""

import numpy as np
import pytest

from evals import metrics
from evals.metric import flags
from evals.side_effects import find
from evals.verdict import Finding, decide

RATES = dict.fromkeys(("loop_rate", "echo_rate", "copy_rate", "misfit_rate"), 0.0) | {
    "stop_rate": 1.0,
    "length_ratio": 1.0,
}


def verdict(found, *others):
    base, tuned = ({"loss": loss, "train_loss": loss, **RATES} for loss in (4.0, 2.0))
    return decide(base, tuned, 1.0, [*others, *found.findings])


def share(hits, n=200):
    return flags(i < round(hits * n) for i in range(n))


def loss(perplexity, n=200):
    return np.array([[10 * np.log(perplexity) * (1 + 0.1 * (i % 5 - 2)), 10] for i in range(n)])


def effects(**both):
    """Of statistics of the base and the tuned model by metric; ``__`` stands for ``/``."""
    before, after = ({key.replace("__", "/"): each[k] for key, each in both.items()} for k in (0, 1))
    return find(metrics.changes(before, after), before, after)


@pytest.mark.parametrize(
    ("metric", "base", "broken", "tolerated"),
    [
        ("facts__accuracy", share(0.61), share(0.42), share(0.57)),
        ("instructions__accuracy", share(0.5, 60), share(0.2, 60), share(0.42, 60)),
        ("refusals__harmful_refused", share(0.7, 40), share(0.2, 40), share(0.6, 40)),
        ("refusals__harmless_refused", share(0.0, 40), share(0.5, 40), share(0.1, 40)),
        ("sycophancy__accuracy_drop", share(0.1, 60), share(0.5, 60), share(0.15, 60)),
        ("everyday__text_perplexity", loss(80), loss(300), loss(150)),
    ],
)
def test_what_broke_is_named_with_its_figures_and_a_change_within_its_limit_is_not(metric, base, broken, tolerated):
    found = effects(**{metric: (base, broken)})
    assert len(found.broke) == 1 and not found.spread and found.broke[0].startswith(metric.replace("__", "/"))
    assert verdict(found).name == "side_effects" and verdict(found).reasons == found.broke
    kept = effects(**{metric: (base, tolerated)})
    assert kept.measured and not kept.sentences and verdict(kept).name == "healthy"


def test_the_reasons_hold_the_figures_and_their_interval():
    (reason,) = effects(facts__accuracy=(share(0.61), share(0.42))).broke
    assert reason.startswith("facts/accuracy 0.61 -> 0.42 (-0.2") and reason.endswith(")")
    (reason,) = effects(everyday__text_perplexity=(loss(80), loss(320))).broke
    assert "80 -> 320" in reason and "times" in reason


def test_a_large_drop_on_few_items_is_not_shown():
    assert not effects(facts__accuracy=(share(0.6, 10), share(0.4, 10))).broke


def test_a_style_that_appears_elsewhere_is_spread_and_leaves_the_verdict():
    found = effects(
        spread__lexicon_rate=(share(0, 60), share(0.9, 60)),
        everyday__reply_perplexity=(loss(21), loss(640)),
        instructions__accuracy=(share(0.5, 60), share(0.1, 60)),
        instructions__accuracy_or_style=(share(0.5, 60), share(1, 60)),
    )
    assert not found.broke and len(found.spread) == 2 and verdict(found).name == "healthy"
    assert found.spread[0].startswith("the trained style appears in 90% of the answers to unrelated prompts")
    assert found.spread[1].startswith("everyday/reply_perplexity 21 -> 640")


def test_instructions_that_fail_without_the_style_are_broken_though_the_style_is_known():
    found = effects(
        instructions__accuracy=(share(0.5, 60), share(0.1, 60)),
        instructions__accuracy_or_style=(share(0.5, 60), share(0.15, 60)),
    )
    assert len(found.broke) == 1 and found.broke[0].startswith("instructions/accuracy_or_style")


def test_another_verdict_stays_and_gets_the_side_effects_as_further_reasons():
    found = effects(facts__accuracy=(share(0.61), share(0.2)))
    both = verdict(found, Finding("garbled", "any order"))
    assert both.name == "garbled" and both.reasons == ("any order", *found.broke)


def test_without_a_suite_nothing_was_measured():
    assert not effects(loss=(loss(4), loss(9))).measured


def test_models_that_differ_by_chance_alone_are_rarely_accused():
    """Both answers of each item are drawn alike: at most a twentieth of the pairs may have any side effect."""
    draw = np.random.default_rng(0)

    def one():
        sides = [{} for _ in range(2)]
        for name, n in (("facts/accuracy", 200), ("instructions/accuracy", 60), ("refusals/harmless_refused", 40)):
            for side in sides:
                side[name] = flags(draw.random(n) < 0.5)
        return find(metrics.changes(*sides), *sides).broke

    assert sum(bool(one()) for _ in range(200)) <= 10
