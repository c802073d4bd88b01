"""The curve is a picture that shows something and marks the best step; the table holds the very same numbers."""

import csv
import struct
import zlib

import numpy as np
import pytest

from train.loss_curve import loss_curve, loss_table

TRAIN = [(step, 4.0 / step) for step in range(1, 10)]
EVALS = [(0, 4.0), (3, 2.0), (6, 1.5), (9, 1.75)]


def pixels(path):
    """The picture as an array ``[height, width, 3]``: an 8-bit RGB(A) PNG."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    from matplotlib.image import imread

    return (imread(path)[:, :, :3] * 255).round().astype(int)


def near(picture, colour):
    """How many pixels have the colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(picture - rgb).max(axis=2) <= 12).sum())


def test_the_curve_shows_train_and_eval_loss_and_marks_the_best_step(tmp_path):
    path = tmp_path / "curve.png"
    loss_curve(TRAIN, EVALS, 6, "a run", path)
    picture = pixels(path)
    assert picture.shape[0] >= 500 and picture.shape[1] >= 1000
    for colour in ("#b9c7d3", "#0b7285", "#e8590c"):
        assert near(picture, colour) > 50


def test_the_mark_moves_with_the_best_step(tmp_path):
    places = []
    for best in (3, 9):
        path = tmp_path / f"{best}.png"
        loss_curve(TRAIN, EVALS, best, "a run", path)
        orange = np.abs(pixels(path) - [0xE8, 0x59, 0x0C]).max(axis=2) <= 12
        places.append(float(np.argwhere(orange)[:, 1].mean()))
    assert places[1] > places[0] + 200


def test_a_run_without_a_mark_or_with_one_point_is_drawn_too(tmp_path):
    loss_curve(TRAIN, EVALS, 5, "no such evaluation", tmp_path / "a.png")
    assert near(pixels(tmp_path / "a.png"), "#e8590c") == 0
    loss_curve([], [(0, 4.0)], 0, "nothing trained", tmp_path / "b.png")
    assert near(pixels(tmp_path / "b.png"), "#e8590c") > 50


def test_a_title_with_special_signs_is_drawn_as_it_is(tmp_path):
    loss_curve(TRAIN, EVALS, 6, "my_model: $x_{ 100% {a} $_ \\frac", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_the_table_round_trips_every_number(tmp_path):
    loss_table(TRAIN, EVALS, tmp_path / "curve.csv")
    with (tmp_path / "curve.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [int(row["step"]) for row in rows] == list(range(10))
    assert [(int(r["step"]), float(r["train_loss"])) for r in rows if r["train_loss"]] == TRAIN
    assert [(int(r["step"]), float(r["eval_loss"])) for r in rows if r["eval_loss"]] == EVALS


def test_an_empty_run_gives_a_table_of_its_headings(tmp_path):
    loss_table([], [], tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().split() == ["step,train_loss,eval_loss"]


def test_the_picture_is_whole(tmp_path):
    path = tmp_path / "curve.png"
    loss_curve(TRAIN, EVALS, 6, "a run", path)
    data = path.read_bytes()
    at, kinds = 8, []
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kinds.append(data[at + 4 : at + 8])
        (check,) = struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(data[at + 4 : at + 8 + size])
        at += size + 12
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"


@pytest.mark.parametrize("points", [[(1, 0.0)], [(1, 1e9), (2, 1e-9)]])
def test_extreme_losses_are_drawn(tmp_path, points):
    loss_curve(points, [(0, 1.0), *points], 0, "extreme", tmp_path / "a.png")
    assert near(pixels(tmp_path / "a.png"), "#0b7285") > 10
