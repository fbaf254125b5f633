"""What a worker lets a flow run have: ids, and its own host's environment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from millrace.engine import halting, stages
from millrace.engine.attendance import Attendance
from millrace.engine.errors import NotPermitted
from millrace.engine.hosts.devices import Host
from millrace.engine.labels import Label
from millrace.engine.settings import Settings
from millrace.engine.worker import capabilities, describe, environment, name_of, queues, read_task

RUN, ASSIGNMENT = "20261124-104422-4t8v", "a0001"
GOOD = {"run_id": RUN, "assignment_id": ASSIGNMENT}
QUEUES = ["default", "on_demand-high", "own-normal", "spot-high", "spot-normal"]


def test_an_assignment_is_two_ids_and_a_pipeline_one_id_or_one_name() -> None:
    assert read_task("millrace-assignment", GOOD, conductor=False).parameters == GOOD
    task = read_task("millrace-pipeline", {"run_id": RUN, "scheduled": ""}, conductor=True)
    assert (task.flow, task.parameters) == ("pipeline", {"run_id": RUN})
    task = read_task(
        "millrace-pipeline", {"run_id": None, "scheduled": "nightly_2-a"}, conductor=True
    )
    assert task.parameters == {"scheduled": "nightly_2-a"}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        None,
        [RUN, ASSIGNMENT],
        {"run_id": RUN},
        GOOD | {"more": "a"},
        GOOD | {"run_id": "../../etc/passwd"},
        GOOD | {"run_id": f"{RUN}\n"},
        GOOD | {"run_id": f"{RUN}/../{RUN}"},
        GOOD | {"run_id": f"{RUN}\0"},
        GOOD | {"run_id": "２０２６1124-104422-4t8v"},
        GOOD | {"run_id": RUN.upper()},
        GOOD | {"run_id": [RUN]},
        GOOD | {"run_id": {"__prefect_kind": "jinja", "template": RUN}},
        GOOD | {"assignment_id": "a" * 100_000},
        GOOD | {"assignment_id": "a" + "1" * 9},
        GOOD | {"assignment_id": "../a0001"},
        GOOD | {"assignment_id": 1},
    ],
)
def test_what_is_no_id_never_becomes_a_path(parameters: Any) -> None:
    with pytest.raises(NotPermitted) as refused:
        read_task("millrace-assignment", parameters, conductor=True)
    assert "passwd" not in str(refused.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"scheduled": "../nightly"},
        {"scheduled": "a" * 65},
        {"scheduled": ""},
        {"scheduled": "nightly\n"},
        {"run_id": RUN, "scheduled": "nightly"},
        GOOD,
    ],
)
def test_a_pipeline_is_refused_by_anything_but_one_name_of_its_own(parameters: Any) -> None:
    with pytest.raises(NotPermitted):
        read_task("millrace-pipeline", parameters, conductor=True)


def test_only_a_conductor_conducts_and_foreign_flows_run_nowhere() -> None:
    with pytest.raises(NotPermitted, match="does not conduct"):
        read_task("millrace-pipeline", {"run_id": RUN}, conductor=False)
    for flow in ("evil", "millrace-assignment\n", "Millrace-Assignment", ""):
        with pytest.raises(NotPermitted, match="nothing else"):
            read_task(flow, GOOD, conductor=True)


def _environment(own: dict[str, str], *, conductor: bool = False) -> dict[str, str]:
    return environment(
        own,
        flow_run="an-id",
        pool="studio",
        folder=Path("/private"),
        conductor=conductor,
        slots=3,
        prefect={"PREFECT_API_URL": "http://server/api"},
    )


def test_the_environment_of_an_entry_is_the_hosts_own_and_only_what_it_needs() -> None:
    own = {
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "store",
        "MILLRACE_HOME": "/home",
        "MILLRACE_CLEARANCE": "internal",
        "MILLRACE_LEDGER": "postgresql://secret",
        "MILLRACE_FLOW_RUN": "another",
        "MILLRACE_CONDUCTOR": "1",
        "MILLRACE_POOL": "another",
        "PREFECT__FLOW_ENTRYPOINT": "evil.py:evil",
        "PREFECT_LOGGING_SETTINGS_PATH": "evil.yml",
        "LD_PRELOAD": "evil.so",
        "PYTHONSTARTUP": "evil.py",
        "BASH_ENV": "evil.sh",
        "SOME_TOKEN": "secret",
    }
    got = _environment(own)
    assert got == {
        "PATH": "/bin",
        "AWS_ACCESS_KEY_ID": "store",
        "MILLRACE_HOME": "/home",
        "MILLRACE_CLEARANCE": "internal",
        "MILLRACE_FLOW_RUN": "an-id",
        "MILLRACE_POOL": "studio",
        "MILLRACE_SLOTS": "3",
        "PREFECT_API_URL": "http://server/api",
        "PREFECT_HOME": "/private",
        "PREFECT_PROFILES_PATH": "/private/profiles.toml",
        "PYTHONSAFEPATH": "1",
        "TMPDIR": "/private",
    }
    conducting = _environment(own, conductor=True)
    assert conducting["MILLRACE_LEDGER"] == "postgresql://secret"
    assert conducting["MILLRACE_CONDUCTOR"] == "1"
    assert "MILLRACE_SLOTS" not in conducting


def test_a_worker_that_was_not_told_its_clearance_reads_public_data_only() -> None:
    assert _environment({"PATH": "/bin"})["MILLRACE_CLEARANCE"] == "public"


def test_a_spot_machine_takes_spot_work_and_others_what_is_not() -> None:
    assert queues(QUEUES, "spot") == ["spot-high", "spot-normal"]
    assert queues(QUEUES, "on_demand") == ["on_demand-high"]
    assert queues(QUEUES, "reserved") == []
    assert queues(QUEUES, None) == ["default", "on_demand-high", "own-normal"]
    assert queues(["default", "spot-high"], None) == ["default", "spot-high"]
    assert queues(["default"], None) == ["default"]


def test_a_name_is_of_this_host_and_process_and_fits_a_path() -> None:
    assert name_of(None, 7).endswith("-7")
    assert name_of("../../a b%/c", 7) == "a-b-c"
    assert name_of("..", 7) == "worker-7"


def test_a_card_says_what_the_host_has_and_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "ffmpeg"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    card = describe(
        Settings(tmp_path, Label.INTERNAL, 0.1),
        Host.model_validate(
            {
                "cores": 4,
                "memory": 8 << 30,
                "gpus": [
                    {"name": "big", "uuid": "a", "vram": 24 << 30},
                    {"name": "small", "uuid": "b", "vram": 12 << 30},
                ],
            }
        ),
        pool="studio",
        worker="w",
        basis="own",
        at=5.0,
        own={"MILLRACE_FFMPEG": str(tool)},
    )
    assert (card.cores, card.memory, card.vram) == (4, 8 << 30, 12 << 30)
    assert (card.clearance, card.basis, card.tools) == (Label.INTERNAL, "own", ("ffmpeg",))
    assert card.kinds["video.encode"] >= 1


def test_a_worker_asks_each_kind_what_its_libraries_give_and_survives_the_answer() -> None:
    gpu = {"name": "NVIDIA L4", "uuid": "GPU-1", "vram": 24 << 30}
    host = Host.model_validate({"cores": 4, "memory": 8 << 30, "cpu": "some CPU", "gpus": [gpu]})
    found = capabilities(host)
    assert found.keys() == {"cpu", "cuda"}
    assert found["cpu"]["video.upscale"]["backend"] == "openvino"
    assert found["cuda"]["video.upscale"].keys() >= {"backend", "backend_version", "ffmpeg"}
    assert "video.encode" not in found["cpu"]  # it does not say
    assert capabilities(host.model_copy(update={"gpus": ()})).keys() == {"cpu"}


def test_a_kind_whose_library_fails_leaves_the_worker_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(device: object) -> dict[str, str]:
        raise RuntimeError("libcuda")

    monkeypatch.setattr(stages.load("video.upscale"), "capabilities", broken)
    assert capabilities(Host.model_validate({"cores": 1, "memory": 1 << 30})) == {"cpu": {}}


def _sit(home: Path, ready: Any, over: Any) -> None:
    assert Attendance(home).take("one")
    ready.set()
    over.wait(60)


def test_a_flow_run_has_one_process_on_a_host_even_when_its_worker_is_gone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    process = context.Process(target=_sit, args=(tmp_path, ready, over))
    process.start()
    attendance = Attendance(tmp_path)
    try:
        assert ready.wait(60)
        assert attendance.present() == ["one"]
        assert attendance.take("one") is None
        attendance.tidy()
        assert (tmp_path / "worker" / "one").is_dir()
    finally:
        process.kill()
        process.join()
    assert attendance.present() == []
    attendance.tidy()
    assert not (tmp_path / "worker" / "one").exists()
    log = tmp_path / "worker" / "two.log"
    log.touch()
    os.utime(log, (0, 0))
    attendance.tidy()
    assert not log.exists()
    seat = attendance.take("one")
    assert seat
    assert list(seat.folder.iterdir()) == []
    assert seat.folder.stat().st_mode & 0o777 == 0o700
    os.close(seat.lock)


def test_sigterm_sets_the_event_and_ends_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        halting.install()
        os.kill(os.getpid(), signal.SIGTERM)
        assert halting.event().wait(10)
    finally:
        halting.event().clear()
        signal.signal(signal.SIGTERM, before)
