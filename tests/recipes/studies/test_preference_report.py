"""The page of a study of wrong preferences says of each loss what its cells show, and nothing where they can't."""

from recipes.studies import preference_report
from recipes.studies.config import StudyConfig

CONFIG = StudyConfig(grid="preference", losses="dpo,ipo", rates="0,0.4", seeds="1,2,3")


def record(loss, rate, seed, accuracy):
    return {"learner": "lora", "loss": loss, "rate": rate, "seed": seed, "verdict": "healthy",
            "reward_accuracy": accuracy, "answer_words": 3.0}  # fmt: skip


def records(seeds=(1, 2, 3)):
    found = []
    for i, seed in enumerate(seeds):
        found += [record(loss, 0.0, seed, 0.99 - 0.01 * i) for loss in ("dpo", "ipo")]
        found += [record("dpo", 0.4, seed, 0.60 - 0.02 * i), record("ipo", 0.4, seed, 0.90 - 0.01 * i)]
    return found


def test_a_loss_that_suffers_is_told_from_one_that_does_better():
    page = preference_report.page(CONFIG, records(), 2)
    assert "have not ended, and are left out: 2" in page
    [dpo] = [line for line in page.splitlines() if line.startswith("- dpo: ")]
    assert "0.980 (0.955 to 1.000) without wrong preferences; at 0.4 0.580" in dpo
    assert "lower than that (p < .001 after Holm)" in dpo or "lower than that (p = 0.00" in dpo
    assert "- at 0.4: reward accuracy +0.310" in page and "higher than that with dpo" in page
    assert "- at 0: reward accuracy +0.000 (+0.000 to +0.000), by seeds not to be told from that with dpo." in page
    assert "| ipo | 0.4 | 3 | healthy | 0.890" in page


def test_one_seed_decides_nothing():
    page = preference_report.page(CONFIG, records((1,)), 0)
    assert "one seed says nothing against that" in page and "lower than" not in page
