"""The sentences of a study follow its figures, and are 'unknown' where there are none."""

from recipes.studies import noise_report, sft_report
from recipes.studies.config import StudyConfig
from recipes.studies.sft_plots import epoch_curves

CONFIG = StudyConfig(kinds="symmetric,one_sided", rates="0,0.3,0.5", seeds="1,2,3")
#: (kind, rate): accuracy, AUC, mean confidence, memorised, found, wrong
FIGURES = {
    ("clean", 0.0): (0.90, 0.96, 0.80, None, None, 0.0),
    ("symmetric", 0.3): (0.80, 0.88, 0.65, 0.5, 0.85, 0.3),
    ("symmetric", 0.5): (0.50, 0.50, 0.60, 0.7, 0.5, 0.5),
    ("one_sided", 0.3): (0.70, 0.95, 0.70, 0.6, 0.75, 0.15),
}


def records(places=tuple(FIGURES), seeds=(1, 2, 3)):
    found = []
    for kind, rate in places:
        for seed in seeds:
            accuracy, auc, sure, memorised, seen, wrong = FIGURES[kind, rate]
            shift = 0.01 * (seed - 2) * (1 + rate)
            found.append({
                "learner": "tfidf", "kind": kind, "rate": rate, "seed": seed, "run_id": "x", "verdict": "healthy",
                "accuracy": accuracy + shift, "auc": auc + shift, "ece": 0.1, "mean_confidence": sure + shift,
                "memorised_share": memorised, "detection_auroc": seen and seen + shift, "flipped_share": wrong,
                "rows": f"rows of {seed}",
            })  # fmt: skip
    return found


def page(config=CONFIG, missing=0, **chosen):
    return noise_report.page(config, records(**chosen), missing)


def test_the_effect_of_random_noise_is_given_with_its_interval():
    text = page()
    assert "Without wrong labels accuracy is 0.900 (0.875 to 0.925)." in text
    assert "At rate 0.3 it is 0.800 (0.768 to 0.832): -0.100 (-0.107 to -0.093) against clean, less than clean" in text
    assert "after Holm over 2" in text
    assert "the interval holds chance, 0.5." in text


def test_whether_wrong_labels_are_detected_is_decided_by_the_interval():
    text = page()
    assert "symmetric at 0.3: detected better than by chance." in text
    assert "symmetric at 0.5: detected no better than by chance." in text
    assert "0.500 (0.500 to 0.500) of the flipped rows were memorised" in text


def test_confidence_is_compared_with_accuracy_and_with_theory():
    text = page()
    assert "symmetric at 0.3: mean confidence 0.650" in text and "underconfident" in text
    assert "symmetric at 0.5: mean confidence 0.600" in text and "overconfident" in text
    assert "has confidence 0.7, ECE 0.3" in text


def test_systematic_noise_that_leaves_the_ranking_intact_is_reported():
    text = page()
    assert "one_sided at 0.3 (15% and 30% of all labels wrong, with symmetric): accuracy 0.700" in text
    assert "it hurts more than symmetric." in text
    assert "the probabilities hold more information than the labels it gives" in text


def test_one_seed_gives_no_interval_and_no_verdict_over_chance():
    text = page(seeds=(1,), config=StudyConfig(seeds="1"))
    assert "One seed: there is no interval" in text
    assert "whether that is more than chance is unknown" in text
    assert "one seed can't distinguish chance from detection" in text
    assert "less than clean" not in text and "better than by chance" not in text


def test_what_the_grid_does_not_have_is_unknown():
    text = page(places=(("clean", 0.0), ("one_sided", 0.3)))
    assert "Unknown: the grid has no random kind" in text
    assert "Unknown: the grid needs symmetric and a systematic kind" in text
    assert "Unknown: the grid has no wrong labels." in page(places=(("clean", 0.0),))


def test_each_training_has_its_changes_from_the_base_with_intervals():
    found = [{**each, "change/auc": 0.2, "change/auc_low": 0.1, "change/auc_high": 0.3} for each in records()]
    lines = noise_report.page(CONFIG, found, 0).splitlines()
    assert "| kind | rate | seed | AUC |" in lines
    assert "| symmetric | 0.3 | 2 | +0.200 (+0.100 to +0.300) |" in lines
    assert "Change from the base" not in page()


def test_missing_cells_and_changed_rows_are_reported_first():
    changed = records()
    changed[-1]["rows"] = "others"
    text = noise_report.page(CONFIG, changed, 2)
    assert "left out: 2.**" in text
    assert "were trained on different rows" in text
    assert "different rows" not in page()


def pirates():
    score = {("response", 3): 30.0, ("response", 8): 50.0, ("response", 20): 45.0, ("all", 3): 20.0, ("all", 8): 41.0,
             ("all", 20): 34.0}  # fmt: skip
    return [
        {"learner": "lora", "set": "tiny", "epochs": epochs, "labels": labels, "seed": seed, "verdict": "healthy",
         "chrf": chrf + seed, "lexicon_rate": None, "rows": "x"}
        for (labels, epochs), chrf in score.items() for seed in (1, 2)
    ]  # fmt: skip


def test_the_pirate_page_compares_labels_and_epochs_and_names_what_is_unknown():
    text = sft_report.page(StudyConfig(grid="pirate", seeds="1,2"), pirates(), 0)
    assert "Response less all labels, over 6 pairs: chrF +10.000" in text and "response labels are better" in text
    assert "tiny, response labels: chrF is highest after 8 epochs, 51.500" in text
    assert "20 epochs give 46.500" in text and "training on made it worse" in text
    assert "More rows or fewer: unknown, there is one set." in text
    assert "| tiny | 8 | all | 2 | healthy | undefined | 42.500 (36.147 to 48.853) | undefined |" in text


def test_the_pirate_plot_comes_with_table_and_description(tmp_path):
    epoch_curves(pirates(), "pirate", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
    assert "tiny,all,chrf,8,2,42.5," in (tmp_path / "a.csv").read_text()
    assert "chrF, tiny with all labels: 21.500 after 3, 42.500 after 8" in (tmp_path / "a.txt").read_text()
