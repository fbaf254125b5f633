"""The plain filter: what it must not move, tint or invent."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from millrace.tasks.video.colour import layout
from millrace.tasks.video.resample import CENTRED, FIRST, SECOND, chroma_sites, phases, resample

FACTORS = [Fraction(2), Fraction(3), Fraction(4), Fraction(3, 4)]


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("code", [0, 1, 16, 128, 235, 255])
def test_a_flat_plane_stays_flat(factor: Fraction, code: int) -> None:
    made = resample(
        np.full((12, 16), code, np.uint8), (int(12 * factor), int(16 * factor)), factor, 255
    )
    assert made.dtype == np.uint8
    assert (made == code).all()


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("site", [CENTRED, FIRST, SECOND])
def test_a_ramp_lies_where_the_siting_says(factor: Fraction, site: Fraction) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 10, (4, 1))
    width = int(64 * factor)
    made = resample(ramp, (int(4 * factor), width), factor, 1023, (CENTRED, site))
    where = np.array([(o + site) / factor - site for o in range(width)], float)
    inside = (where > 5) & (where < 58)
    # A windowed sinc reproduces a ramp only nearly: within a tenth of a sample's step.
    assert np.abs(made[0, inside] - 10 * where[inside]).max() <= 1.0


def test_bright_edges_are_clipped_and_do_not_wrap() -> None:
    step = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=1)
    made = resample(step, (2, 32), Fraction(2), 255)
    assert made[0, 0] == 0
    assert made[0, -1] == 255
    assert (np.diff(made[0].astype(int)) >= -1).all() or made.max() == 255


@given(some.integers(1, 9), some.integers(1, 9), some.sampled_from(FACTORS[:3]))
def test_the_smallest_planes_work(height: int, width: int, factor: Fraction) -> None:
    plane = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    made = resample(plane, (int(height * factor), int(width * factor)), factor, 255)
    assert made.shape == (height * factor, width * factor)
    assert made.min() >= 0
    assert made.max() <= plane.max() + 2


def test_an_odd_size_may_ask_for_one_sample_less() -> None:
    assert resample(np.zeros((61, 81), np.uint8), (121, 161), Fraction(2), 255).shape == (121, 161)


def test_the_phases_of_a_filter_sum_to_one() -> None:
    for factor in FACTORS:
        for phase in phases(factor, CENTRED):
            assert sum(phase.weights) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("pix_fmt", "location", "rows", "columns"),
    [
        ("yuv420p", "", CENTRED, FIRST),
        ("yuv420p", "left", CENTRED, FIRST),
        ("yuv420p", "center", CENTRED, CENTRED),
        ("yuv420p10le", "topleft", FIRST, FIRST),
        ("yuv420p", "top", FIRST, CENTRED),
        ("yuv420p", "bottomleft", SECOND, FIRST),
        ("yuv422p", "", CENTRED, FIRST),
        ("yuv444p", "left", CENTRED, CENTRED),
    ],
)
def test_chroma_stands_where_the_file_says(
    pix_fmt: str, location: str, rows: Fraction, columns: Fraction
) -> None:
    assert chroma_sites(layout(pix_fmt), location) == (rows, columns)


def test_chroma_stays_on_its_luma_edge() -> None:
    """A red bar's chroma edge, left-sited, is enlarged to where the luma edge goes."""
    chroma = np.where(np.arange(32) < 16, 100, 200).astype(np.uint8)[None]
    large = resample(np.repeat(chroma, 4, 0), (8, 64), Fraction(2), 255, (CENTRED, FIRST))
    above = int(np.argmax(large[2] >= 150))
    before, after = float(large[2, above - 1]), float(large[2, above])
    middle = above - 1 + (150 - before) / (after - before)
    # Chroma sample c stands on luma 2c: the edge is at luma 31, in the enlarged frame at 62.5,
    # where chroma sample 31.25 stands.
    expected = 62.5 / 2
    assert middle == pytest.approx(expected, abs=0.15)
