"""Pipelines that are right: as a document, as Python, and from one to the other."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path
from time import monotonic as time_now

import pytest
from pydantic import ValidationError

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
    suffix_for,
)

pytestmark = pytest.mark.usefixtures("testkinds")

DOCUMENT = """\
version: 1
name: remaster
label: internal

parameters:
  scale: {type: int, default: 2, choices: [2, 4]}
  out: {type: path, default: out}

inputs:
  captures: {files: "in/**/*.mp4", exclude: "in/draft/**"}
  stills: {folders: "shots/*"}
  listed: {manifest: list.csv, label: restricted}

stages:
  master:
    uses: test.upscale
    each: captures
    with: {scale: "${scale}", crf: 20, title: "x${scale} of $${scale}"}
    resources: {gpu: prefer, vram: 2 GiB, cores: 2}
  film: {uses: test.assemble, each: stills}
  copies: {uses: test.copy, each: listed, using: {poster: master}}

outputs:
  masters: {from: master, to: "${out}/{source.path}.mkv"}
  films: {from: film, to: "out/films/{source.name}.mp4"}
  copies: {from: copies, to: "out/copies/{source.path}{source.suffix}"}

goal: {prefer: cheapest, by: "07:00", budget: 20 EUR}
schedule: {cron: "0 1 * * *", timezone: Europe/Berlin}
"""

BUILT = Pipeline(
    name="remaster",
    label=Label.INTERNAL,
    parameters={
        "scale": Parameter(type="int", default=2, choices=(2, 4)),
        "out": Parameter(type="path", default="out"),
    },
    inputs={
        "captures": Input(files="in/**/*.mp4", exclude="in/draft/**"),
        "stills": Input(folders=["shots/*"]),
        "listed": Input(manifest="list.csv", label="restricted"),
    },
    stages={
        "master": StageSpec(
            uses="test.upscale",
            each="captures",
            params={"scale": 2, "crf": 20, "title": "x2 of ${scale}"},
            resources=Resources(gpu="prefer", vram="2 GiB", cores=2),
        ),
        "film": StageSpec(uses="test.assemble", each="stills"),
        "copies": StageSpec(uses="test.copy", each="listed", using={"poster": "master"}),
    },
    outputs={
        "masters": Output(source="master", to="out/{source.path}.mkv"),
        "films": Output(source="film", to="out/films/{source.name}.mp4"),
        "copies": Output(source="copies", to="out/copies/{source.path}{source.suffix}"),
    },
    goal=Goal(by="07:00", budget="20 EUR"),
    schedule=Schedule(cron="0 1 * * *", timezone="Europe/Berlin"),
)


def minimal(**changes: object) -> Pipeline:
    parts: dict[str, object] = {
        "name": "clips",
        "inputs": {"captures": Input(files="in/*.mp4")},
        "stages": {"proxy": StageSpec(uses="test.encode", each="captures")},
        "outputs": {"proxies": Output(source="proxy", to="out/{source.path}.mp4")},
    }
    return Pipeline.model_validate(parts | changes)


def test_a_document_and_the_same_model_in_python_are_equal() -> None:
    assert load(DOCUMENT) == BUILT
    assert not check(DOCUMENT).warnings


def test_a_pipeline_written_out_loads_to_itself() -> None:
    assert load(BUILT.to_yaml()) == BUILT


def test_what_a_document_says_has_its_own_types() -> None:
    pipeline = load(DOCUMENT)
    assert pipeline.goal == Goal(prefer="cheapest", by=time(7), budget=20.0)
    assert pipeline.stages["master"].resources.vram == 2 * 1024**3
    assert pipeline.inputs["captures"].files == ("in/**/*.mp4",)
    assert pipeline.stages["film"].sources == ("stills",)
    assert Goal(within="1d 6h").within == timedelta(hours=30)
    assert Goal(by="2027-01-31T07:00").by == datetime(2027, 1, 31, 7)


def test_an_unknown_stage_kind_is_built_into_nothing_and_a_known_one_into_itself() -> None:
    stage = load(DOCUMENT).stages["master"].build()
    assert stage.kind == "test.upscale"
    assert stage.params.crf == 20  # type: ignore[attr-defined]


def test_relative_paths_start_from_the_folder_of_the_document(tmp_path: Path) -> None:
    path = tmp_path / "remaster.yaml"
    path.write_text(DOCUMENT)
    assert load(path).base == tmp_path
    assert load(str(path)).base == tmp_path
    assert load(DOCUMENT).base == Path()
    assert load(DOCUMENT, base=tmp_path) == load(path)


def test_a_document_cannot_say_where_its_own_folder_is() -> None:
    with pytest.raises(DocumentError, match="a pipeline has no key 'base'"):
        load(DOCUMENT + "base: /etc\n")


def test_a_set_parameter_takes_the_place_of_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pipeline = load(DOCUMENT, set={"scale": "4", "out": "elsewhere"})
    assert pipeline.values == {"scale": 4, "out": str(tmp_path / "elsewhere")}
    assert pipeline.stages["master"].params["scale"] == 4
    assert pipeline.stages["master"].params["title"] == "x4 of ${scale}"
    assert pipeline.outputs["masters"].to == f"{tmp_path}/elsewhere/{{source.path}}.mkv"
    assert load(pipeline.to_yaml()) == pipeline


def test_braces_in_a_parameter_are_no_fields_of_a_name() -> None:
    pipeline = load(DOCUMENT, set={"out": "/films/{source.name}"})
    assert pipeline.outputs["masters"].to == "/films/{{source.name}}/{source.path}.mkv"


def test_without_a_label_everything_is_restricted() -> None:
    assert minimal().effective_label is Label.RESTRICTED
    assert minimal().label_of("captures") is Label.RESTRICTED


def test_an_input_may_raise_the_label_of_the_pipeline() -> None:
    pipeline = load(DOCUMENT)
    assert pipeline.label_of("captures") is Label.INTERNAL
    assert pipeline.label_of("listed") is Label.RESTRICTED


def test_a_pipeline_built_in_python_reports_every_problem_between_its_parts() -> None:
    wrong = minimal(
        stages={"proxy": StageSpec(uses="test.encode", each="captured", params={"crf": 99})}
    )
    with pytest.raises(DocumentError) as raised:
        wrong.checked()
    assert raised.value.problems == (
        "stages.proxy.each: no input or stage is called 'captured'; did you mean 'captures'?",
        "stages.proxy.with.crf: 'crf' must be at most 51, not 99",
    )
    assert minimal().checked() == minimal()


def test_parts_are_frozen_and_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError):
        StageSpec(uses="test.copy", each="captures", parms={})  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        minimal().name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="exactly one of files, folders or manifest"):
        Input()
    with pytest.raises(ValidationError, match="keep one"):
        StageSpec(uses="test.copy", each="a", all="b")


def test_the_suffix_of_an_output_reaches_its_stage() -> None:
    pipeline = load(DOCUMENT)
    assert suffix_for(pipeline, "master") == ".mkv"
    assert suffix_for(pipeline, "copies") == ""
    assert suffix_for(pipeline, "copies", ".mov") == ".mov"
    assert suffix_for(pipeline, "unheard") == ""


def test_two_outputs_of_one_stage_with_different_suffixes_are_an_error() -> None:
    both = minimal(
        outputs={
            "a": Output(source="proxy", to="a/{source.path}.mp4"),
            "b": Output(source="proxy", to="b/{source.path}.mkv"),
        }
    )
    with pytest.raises(DocumentError, match=r"a \(\.mp4\), b \(\.mkv\)"):
        suffix_for(both, "proxy")
    assert "give this one a stage of its own" in str(both.report().problems[0])


def test_the_same_name_from_different_inputs_is_left_to_the_run() -> None:
    outputs = {
        "a": Output(source="proxy", to="out/{source.path}.mp4"),
        "b": Output(source="other", to="out/{source.path}.mp4"),
    }
    pipeline = minimal(inputs={"captures": Input(files="a/*"), "other": Input(files="b/*")})
    assert not pipeline.model_copy(update={"outputs": outputs}).report().problems


def test_an_anchor_is_read_at_every_place_it_is_used() -> None:
    text = DOCUMENT.replace("with: {scale", "with: &w {scale").replace(
        "film: {uses",
        "more: {uses: test.upscale, each: captures, with: {<<: *w, crf: 9}}\n  film: {uses",
    )
    more = load(text.replace("films: {", "more: {from: more, to: 'm/{item}'}\n  films: {"))
    assert more.stages["more"].params == {**load(DOCUMENT).stages["master"].params, "crf": 9}


def test_a_stage_may_ask_for_a_person() -> None:
    assert not load(DOCUMENT).stages["master"].approve
    text = DOCUMENT.replace("each: listed", "each: listed, approve: true")
    assert any(stage.approve for stage in load(text).stages.values())


def test_a_switch_that_editors_write_as_false_means_no_gpu() -> None:
    text = DOCUMENT.replace("gpu: prefer", "gpu: false")
    assert load(text).stages["master"].resources.gpu == "no"
    assert load(DOCUMENT.replace("gpu: prefer", "gpu: no")).stages["master"].resources.gpu == "no"


def test_a_string_is_a_path_when_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("films: 2027.yaml").write_text(DOCUMENT)
    assert load("films: 2027.yaml").name == "remaster"
    with pytest.raises(DocumentError, match="a pipeline needs `name:`"):
        load("version: 1")
    with pytest.raises(DocumentError, match="the document is empty"):
        load("")


def test_a_file_with_brackets_in_its_name_is_one_file(tmp_path: Path) -> None:
    clip = tmp_path / "clip[1].mp4"
    outputs = {"o": Output(source="proxy", to="out/one.mp4")}
    one = minimal(inputs={"captures": Input(files=str(clip))}, outputs=outputs)
    assert one.report().problems
    clip.touch()
    assert not one.report().problems


def test_a_chain_of_thousands_of_stages_is_checked_in_seconds_and_so_is_a_ring() -> None:
    chain = "".join(f"  s{n}: {{uses: test.copy, each: s{n - 1}}}\n" for n in range(1, 1000))
    head = "version: 1\nname: long\ninputs: {a: {files: '*'}}\nstages:\n"
    tail = "outputs: {o: {from: s999, to: 'out/{source.path}'}}\n"
    started = time_now()
    assert not check(f"{head}  s0: {{uses: test.copy, each: a}}\n{chain}{tail}").problems
    ring = check(f"{head}  s0: {{uses: test.copy, each: s999}}\n{chain}{tail}").problems
    assert [len(problem.message) < 200 for problem in ring] == [True]
    assert time_now() - started < 20


def test_control_characters_in_names_do_not_reach_the_terminal() -> None:
    problem = str(check(DOCUMENT.replace("uses: test.copy", 'uses: "\\e[31m\\u202e"')).problems[0])
    assert "\x1b" not in problem
    assert "\u202e" not in problem
