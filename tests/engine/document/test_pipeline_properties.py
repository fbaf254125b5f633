"""Nothing that can be typed into a document ends in anything but a pipeline or named problems."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.engine.errors import DocumentError
from millrace.engine.labels import Label
from millrace.engine.pipeline import (
    Goal,
    Input,
    Output,
    Parameter,
    Pipeline,
    Resources,
    Schedule,
    StageSpec,
    check,
    load,
)

pytestmark = pytest.mark.slow

TESTKINDS = Path(__file__).parents[2] / "plugins" / "testkinds"
BROKEN = Path(__file__).parent / "broken"
SEEDS = [path.read_bytes() for path in sorted(BROKEN.glob("*.yaml"))]


@pytest.fixture(scope="module", autouse=True)
def kinds() -> Iterator[None]:
    sys.path.insert(0, str(TESTKINDS))
    yield
    sys.path.remove(str(TESTKINDS))


NAMES = st.text(string.ascii_letters + string.digits + "_-", max_size=12).map(lambda t: "n" + t)
TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: text[0] != "~")  # a home is looked up
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
LABELS = st.sampled_from(Label)
MOMENTS = st.times().map(lambda t: time(t.hour, t.minute, t.second)) | st.datetimes(
    min_value=datetime(2000, 1, 1)
)
GOALS = st.builds(
    Goal,
    prefer=st.sampled_from(["cheapest", "fastest"]),
    by=st.none() | MOMENTS,
    budget=st.none() | st.floats(0, 1e9),
) | st.builds(Goal, within=st.integers(1, 10**7).map(lambda s: timedelta(seconds=s)))
RESOURCES = st.builds(
    Resources,
    gpu=st.sampled_from([None, "no", "prefer", "require"]),
    vram=st.none() | st.integers(1, 2**40),
    cores=st.none() | st.integers(1, 4096),
    memory=st.none() | st.integers(1, 2**50),
)
PARAMETERS = st.one_of(
    st.builds(Parameter, type=st.just("str"), default=st.text(max_size=10), description=TEXTS),
    st.builds(Parameter, type=st.just("int"), default=st.integers(-99, 99)),
    st.builds(Parameter, type=st.just("bool"), default=st.booleans()),
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Valid pipelines: a few inputs, a chain of stages, one output of each stage."""
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    count = draw(st.integers(1, len(names) - 1))
    inputs, stages = names[:count], names[count:]
    floor = draw(st.none() | LABELS)
    above = [label for label in Label if label >= (Label.RESTRICTED if floor is None else floor)]
    texts = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
    sources = [
        draw(
            st.builds(
                Input,
                files=texts,
                exclude=st.lists(TEXTS, max_size=2).map(tuple),
                label=st.none() | st.sampled_from(above),
            )
            | st.builds(Input, manifest=TEXTS)
        )
        for _ in inputs
    ]
    specs = [
        StageSpec(
            uses="test.free",
            each=draw(st.sampled_from(names[: count + n])),
            using=draw(st.dictionaries(NAMES, st.sampled_from(inputs), max_size=2)),
            params=draw(st.dictionaries(st.text(max_size=10), VALUES, max_size=4)),
            resources=draw(RESOURCES),
        )
        for n in range(len(stages))
    ]
    return Pipeline(
        name=draw(TEXTS.filter(lambda t: t.isprintable() and t.strip())),
        label=floor,
        parameters=draw(st.dictionaries(NAMES, PARAMETERS, max_size=3)),
        inputs=dict(zip(inputs, sources, strict=True)),
        stages=dict(zip(stages, specs, strict=True)),
        outputs={
            f"o{name}": Output(source=name, to=f"out/{name}/{{source.path}}{{source.suffix}}")
            for name in stages
        },
        goal=draw(st.none() | GOALS),
        schedule=draw(st.none() | st.just(Schedule(cron="0 1 * * *", timezone="Asia/Tokyo"))),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pipelines())
def test_every_pipeline_written_out_loads_to_itself(pipeline: Pipeline) -> None:
    assert load(pipeline.to_yaml()) == pipeline


def examined(raw: bytes, path: Path) -> None:
    """Reads a document; the only error it may raise is the one that holds the problems."""
    path.write_bytes(raw)
    try:
        load(path)
    except DocumentError as error:
        assert error.problems
        assert all(problem.strip() for problem in error.problems)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_a_document_or_a_problem(raw: bytes, tmp_path: Path) -> None:
    examined(raw, tmp_path / "any.yaml")


SIGNS = [*"ab:-?,[]{}#&*!|>'\"%@`$\\ \n\t0.~<=", "x: ", "\n  ", "- ", "é", "\u2028", "\\U00110000"]
YAML_SOUP = st.lists(st.sampled_from(SIGNS), max_size=60).map("".join)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=YAML_SOUP)
def test_any_text_made_of_yaml_signs_is_a_document_or_a_problem(text: str, tmp_path: Path) -> None:
    examined(text.encode(), tmp_path / "soup.yaml")
    assert check(text + "\n").problems  # no such text is a whole pipeline


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A document of the fixtures with a few pieces cut out, doubled or replaced."""
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        length = draw(st.integers(0, 12))
        pieces = [
            b"",
            b"${",
            b"}",
            b"\t",
            b"'",
            b"*a",
            b"&a ",
            b"!!int ",
            b"\n",
            b": ",
            bytes(raw[at : at + 9]),
        ]
        raw[at : at + length] = draw(st.sampled_from(pieces) | st.binary(max_size=4))
    return bytes(raw)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=mutated())
def test_any_spoilt_document_is_a_document_or_a_problem(raw: bytes, tmp_path: Path) -> None:
    examined(raw, tmp_path / "spoilt.yaml")


KEYS = [
    "version",
    "name",
    "label",
    "inputs",
    "stages",
    "outputs",
    "goal",
    "schedule",
    "parameters",
    "files",
    "folders",
    "manifest",
    "uses",
    "each",
    "all",
    "using",
    "with",
    "resources",
    "from",
    "to",
    "by",
    "within",
    "type",
    "default",
    "x",
]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    data=st.dictionaries(
        st.sampled_from(["inputs", "stages", "outputs", "goal", "label"]), ANYTHING
    )
)
def test_sections_of_any_shape_are_a_document_or_a_problem(data: Any, tmp_path: Path) -> None:
    text = json.dumps({"version": 1, "name": "x", **data})
    examined(text.encode(), tmp_path / "shapes.yaml")


@settings(max_examples=100, deadline=None)
@given(values=st.dictionaries(st.text(max_size=5) | st.sampled_from(["scale", "out"]), st.text()))
def test_any_set_values_are_taken_or_a_problem(values: dict[str, str]) -> None:
    text = (
        "version: 1\nname: x\nparameters: {scale: {type: int, default: 2}, out: {type: path, "
        "default: out}}\ninputs: {a: {files: '${out}/*'}}\n"
        "stages: {s: {uses: test.free, each: a, with: {scale: '${scale}'}}}\n"
        "outputs: {o: {from: s, to: '${out}/{source.path}'}}\n"
    )
    report = check(text, values)
    assert report.problems or set(values) <= {"scale", "out"}
