"""Frames in tiles: nothing shows where they meet, whatever the size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from millrace.engine.errors import BadInput
from millrace.tasks.video.colour import Plane
from millrace.tasks.video.tiling import enlarge, plan_tiles, stretches


def neighbourhood(margin: int):
    """A network whose result depends on every pixel up to `margin` away and on nothing beyond."""

    def network(plane: Plane) -> Plane:
        padded = np.pad(plane.astype(np.int64), margin)
        total = np.zeros(plane.shape, np.int64)
        for down in range(2 * margin + 1):
            for right in range(2 * margin + 1):
                window = padded[down : down + plane.shape[0], right : right + plane.shape[1]]
                total += window * (3 * down + 7 * right + 1)
        return np.repeat(np.repeat(total % 251, 2, 0), 2, 1).astype(np.uint8)

    return network


@settings(deadline=None, max_examples=60)
@given(some.integers(1, 60), some.integers(1, 60), some.integers(0, 4), some.integers(100, 900))
def test_a_tiled_frame_is_the_untiled_frame(
    height: int, width: int, margin: int, pixels: int
) -> None:
    plane = np.random.default_rng(height * 61 + width).integers(0, 256, (height, width), np.uint8)
    tiles = plan_tiles(height, width, pixels, margin)
    network = neighbourhood(margin)
    assert np.array_equal(enlarge(plane, tiles, 2, network), network(plane))


def test_too_small_an_overlap_would_show() -> None:
    plane = np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)
    network = neighbourhood(3)
    assert not np.array_equal(
        enlarge(plane, plan_tiles(40, 40, 400, 2), 2, network), network(plane)
    )


@given(some.integers(1, 5000), some.integers(1, 500), some.integers(0, 20))
def test_stretches_keep_every_pixel_once_and_have_one_length(
    length: int, window: int, margin: int
) -> None:
    if window <= 2 * margin:
        window = 2 * margin + 1
    found = stretches(length, window, margin)
    kept = [pixel for each in found for pixel in range(each.first, each.last)]
    assert kept == list(range(length))
    assert len({each.end - each.begin for each in found}) == 1
    assert all(each.end - each.begin <= max(window, 1) for each in found)
    for each in found:
        assert each.begin == 0 or each.first - each.begin >= margin
        assert each.end == length or each.end - each.last >= margin


@pytest.mark.parametrize(
    ("height", "width", "pixels"),
    [(4320, 7680, 1 << 20), (1, 7680, 1000), (7680, 1, 1000), (2160, 3840, 100_000), (1, 1, 1)],
)
def test_no_tile_reads_more_than_it_may(height: int, width: int, pixels: int) -> None:
    for tile in plan_tiles(height, width, pixels, 10 if min(height, width) > 1 else 0):
        rows, columns = tile.rows, tile.columns
        assert (rows.end - rows.begin) * (columns.end - columns.begin) <= pixels


def test_a_frame_that_fits_is_one_tile() -> None:
    assert len(plan_tiles(360, 640, 360 * 640, 10)) == 1


def test_8k_in_a_million_pixels_reads_six_percent_more_at_most() -> None:
    tiles = plan_tiles(4320, 7680, 1 << 20, 10)
    read = sum((t.rows.end - t.rows.begin) * (t.columns.end - t.columns.begin) for t in tiles)
    assert read < 1.06 * 4320 * 7680


def test_tiles_too_small_for_the_network_are_refused_with_the_least_size() -> None:
    with pytest.raises(BadInput, match="too small") as raised:
        plan_tiles(1000, 1000, 400, 10)
    assert "441" in raised.value.hint
