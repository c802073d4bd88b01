"""chrF is sacrebleu's, of its library and of its command."""

import subprocess
import sys

import numpy as np
import pytest

from evals import text_metrics
from evals.text_metrics import chrf


def test_chrf_is_sacrebleus():
    import sacrebleu

    references, answers = ["Where be ye, matey?", "Arr, the sea!"], ["Where are you?", "The sea, arr"]
    assert chrf(references, answers) == sacrebleu.corpus_chrf(answers, [references]).score
    assert chrf(references, references) == pytest.approx(100)
    assert chrf(references, ["", ""]) == 0


def test_chrf_from_summed_statistics_is_sacrebleus():
    references = ["The kettle be not plugged in, arr!", "Ahoy", "Das Übel é aquí", "", "我爱你 们"]
    answers = ["The kettle ben't plugged in, arr!", "", "Das Ubel e\u0301 aquí!", "Well", "我爱她们"]
    sums = text_metrics.chrf_statistics(references, answers).sum(0)
    assert float(text_metrics.chrf_of_sums(sums)) == pytest.approx(text_metrics.chrf(references, answers), abs=1e-9)
    assert float(text_metrics.chrf_of_sums(np.zeros(18))) == 0.0


def test_chrf_is_that_of_sacrebleus_command(tmp_path):
    references = ["The kettle be not plugged in, arr!", "Ahoy there, matey.", "I be fine."]
    answers = ["The kettle ben't plugged in, arr!", "Ahoy!", "I be not fine, arr."]
    (tmp_path / "references").write_text("\n".join(references) + "\n")
    (tmp_path / "answers").write_text("\n".join(answers) + "\n")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "answers", "-m", "chrf", "-b", "-w", "6"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert chrf(references, answers) == pytest.approx(float(done.stdout), abs=1e-6)
