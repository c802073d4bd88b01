"""Wilson's interval of a share, Student's of a mean."""

import pytest

from evals.intervals import student_t, wilson


def test_the_wilson_interval_has_its_known_values():
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert wilson(1, 1) == pytest.approx((0.206549, 1.0), abs=1e-6)
    assert wilson(0, 3)[0] == 0.0 and wilson(3, 3)[1] == 1.0


def test_the_interval_of_a_mean_is_centred_on_it_and_has_no_width_where_all_values_are_equal():
    low, high = student_t([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2) and high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert student_t([0.5, 0.5]) == (0.5, 0.5)
