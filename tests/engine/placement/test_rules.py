"""Each hard rule, by name and in words."""

from __future__ import annotations

import pytest

from millrace.engine.fleet.pools import GIB
from millrace.engine.labels import Label
from millrace.engine.placement.rules import examine
from millrace.engine.stages import Needs
from tests.engine.placement.fleets import group, pool

SECRET = {"label": Label.RESTRICTED}
BIG = {"needs": Needs(gpu="prefer", vram=16 * GIB)}


@pytest.mark.parametrize(
    ("facts", "asked", "rule", "words"),
    [
        (
            {"clearance": Label.INTERNAL},
            SECRET,
            "clearance",
            "studio: may see internal data, this is restricted",
        ),
        (
            {"store": "bucket", "store_clearance": Label.PUBLIC},
            {},
            "clearance",
            "studio: its store bucket may hold public data, this is internal",
        ),
        ({"device": "cpu"}, {}, "device", "studio: has no GPU, and this work is for GPUs"),
        ({"vram": 12 * GIB}, BIG, "device", "studio: 12 GiB of VRAM, 16 GiB needed"),
        (
            {"vram": 0},
            BIG,
            "device",
            "studio: an unknown amount of VRAM, 16 GiB needed",
        ),
        (
            {"memory": 8 * GIB},
            {"needs": Needs(memory=32 * GIB)},
            "memory",
            "studio: 8 GiB of memory a slot, 32 GiB needed",
        ),
        (
            {"tools": frozenset({"blender"})},
            {"needs": Needs(tools=("ffmpeg",))},
            "tools",
            "studio: its workers lack ffmpeg",
        ),
        ({"kinds": {}}, {}, "version", "studio: its workers have no video.upscale"),
        ({"kinds": {"video.upscale": 2}}, {}, "version", "version 2 of video.upscale"),
        ({"millrace": "0.3"}, {"millrace": "0.4"}, "version", "Millrace 0.3, this run is of 0.4"),
        ({"reachable": False}, {}, "store", "the conductor's store cannot be reached"),
        ({"up": False, "why_down": "is paused"}, {}, "health", "studio: is paused"),
        ({"avoided": frozenset({"video.upscale"})}, {}, "avoided", "failed video.upscale"),
    ],
)
def test_a_pool_is_forbidden_by_the_rule_that_says_so_in_words(facts, asked, rule, words):
    finding = examine(group(**asked), pool(**facts))
    assert finding.rule == rule
    assert words in finding.reason
    assert finding.passing == (rule in ("store", "health", "avoided"))


@pytest.mark.parametrize(
    ("facts", "asked"),
    [
        ({}, SECRET),
        ({"cores": 1}, {"needs": Needs(cores=16)}),
        ({"tools": None, "kinds": None, "millrace": None}, {"needs": Needs(tools=("ffmpeg",))}),
        ({"device": "cpu", "vram": 0}, {"device": "cpu", **BIG}),
    ],
)
def test_what_is_capped_unknown_or_of_another_device_forbids_nothing(facts, asked):
    assert examine(group(**asked), pool(**facts)).fits


def test_what_a_pool_is_comes_before_how_it_is_now():
    finding = examine(group(**SECRET), pool(clearance=Label.PUBLIC, up=False))
    assert finding.rule == "clearance"
