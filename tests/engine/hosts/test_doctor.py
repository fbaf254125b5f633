"""The doctor names what is wrong with a host, and claims nothing that it has not looked at."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from millrace.engine.hosts.devices import Host, inventory
from millrace.engine.hosts.doctor import (
    Finding,
    findings,
    processor,
    programs,
    server,
    storage,
    worst,
)

HOST = Host(name="here", cores=4, memory=32 << 30, cpu="EPYC")


def one(found: Iterable[Finding], words: str) -> Finding:
    """Returns the only finding whose text has these words."""
    (match,) = [finding for finding in found if words in finding.text]
    return match


def none(found: Iterable[Finding], words: str) -> bool:
    return not [finding for finding in found if words in finding.text]


def test_this_host_is_examined_whole_in_a_few_seconds(tmp_path: Path) -> None:
    found = findings(inventory(environment={}), os.environ, home=tmp_path / "home")
    assert {f.area for f in found} >= {"programs", "storage", "prefect", "cpu", "memory", "gpu"}
    assert all(f.fix for f in found if f.level in ("warn", "fail"))
    assert not (tmp_path / "home").exists()
    assert not list(tmp_path.iterdir())


def test_the_worst_level_is_the_one_that_counts() -> None:
    levels = ("ok", "warn", "note")
    assert worst(Finding(area="a", level=level, text="t") for level in levels) == "warn"
    assert worst([]) == "ok"


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_missing_programs_stop_work_and_say_how_to_get_them(tmp_path: Path) -> None:
    found = list(programs.findings({"PATH": str(tmp_path)}))
    for name in ("ffmpeg", "ffprobe"):
        finding = one(found, f"{name} is not installed")
        assert finding.level == "fail"
        assert "apt install ffmpeg" in finding.fix


def test_a_program_named_by_a_variable_is_the_one_examined(tmp_path: Path) -> None:
    program(tmp_path, "mine", 'echo "ffmpeg version 9.1 built with care"')
    found = programs.findings({"PATH": "", "MILLRACE_FFMPEG": str(tmp_path / "mine")})
    assert one(found, f"ffmpeg 9.1 ({tmp_path}/mine)").level == "ok"


def test_a_program_that_is_something_else_is_found_out(tmp_path: Path) -> None:
    program(tmp_path, "ffmpeg", 'echo "hello"')
    finding = one(programs.findings({"PATH": str(tmp_path)}), "does not answer as ffmpeg does")
    assert finding.level == "fail"


def test_an_encoder_that_ffmpeg_lacks_is_named(tmp_path: Path) -> None:
    listing = " V....D libx264  H.264 (libx265 in words only)\\n V....D h264_nvenc  NVENC"
    script = f'case "$*" in -version) echo "ffmpeg version 5";; *) printf "{listing}\\n";; esac'
    program(tmp_path, "ffmpeg", script)
    found = list(programs.findings({"PATH": str(tmp_path)}))
    assert one(found, "encoder libx264").level == "ok"
    assert one(found, "no libx265").level == "warn"
    assert "not measured" in one(found, "h264_nvenc").text


def test_extras_are_read_from_the_package_itself() -> None:
    found = list(programs.findings({"PATH": ""}))
    assert one(found, "extra video").level == "ok"
    assert {f.text.split()[1].rstrip(":") for f in found if f.text.startswith("extra ")} >= {
        "video",
        "render",
        "documents",
    }


def test_a_home_that_can_be_written_is_well(tmp_path: Path) -> None:
    found = list(storage.findings(tmp_path, tmp_path))
    assert one(found, "can be written").level == "ok"
    assert one(found, "file locks work").level == "ok"
    assert one(found, "linked, not copied").level == "ok"
    assert none(found, "not safe")
    assert one(storage.findings(tmp_path / "a/b", tmp_path), "can be made").level == "ok"
    assert not list(tmp_path.iterdir())


def test_a_home_that_cannot_be_written_stops_work() -> None:
    finding = one(storage.findings(Path("/proc/millrace"), Path.cwd()), "cannot be written")
    assert finding.level == "fail"
    assert "MILLRACE_HOME" in finding.fix


def test_a_home_on_another_file_system_copies_results(tmp_path: Path) -> None:
    if tmp_path.stat().st_dev == Path("/dev/shm").stat().st_dev:
        tmp_path = Path("/")
    assert one(storage.findings(Path("/dev/shm"), tmp_path), "results are copied").level == "note"


def test_a_home_on_a_network_file_system_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    mounts = f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nb {tmp_path}x ext4 rw 0 0\n"
    (tmp_path / "proc/mounts").write_text(mounts)
    assert storage.file_system(Path("/"), tmp_path) == "ext4"
    finding = one(storage.findings(tmp_path / "home", tmp_path, tmp_path), "nfs4")
    assert finding.level == "warn"


@pytest.fixture
def address() -> Iterator[str]:
    """A server that is well under /well/health, ill under /ill and secretive under /secret."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response({"/well/health": 200, "/secret/health": 401}.get(self.path, 503))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def prefect(url: str) -> list[Finding]:
    return list(server.findings({"PREFECT_API_URL": url}))


def test_a_server_that_answers_is_well(address: str) -> None:
    assert one(prefect(f"{address}/well/"), "answers").level == "ok"


def test_a_server_that_is_ill_or_secretive_is_a_failure(address: str) -> None:
    assert one(prefect(f"{address}/ill"), "answers 503").level == "fail"
    assert "PREFECT_API_AUTH_STRING" in one(prefect(f"{address}/secret"), "answers 401").text


def test_a_server_that_is_not_there_is_a_failure() -> None:
    finding = one(prefect("http://127.0.0.1:1/api"), "does not answer")
    assert finding.level == "fail"
    assert "http://127.0.0.1:1/api" in finding.text


def test_a_password_in_an_address_is_not_shown() -> None:
    finding = one(prefect("http://me:hunter2@127.0.0.1:1/api"), "127.0.0.1:1")
    assert "hunter2" not in finding.text


@pytest.mark.parametrize("url", ["nonsense", "file:///etc/passwd", "http:///api"])
def test_an_address_that_is_none_is_a_failure(url: str) -> None:
    assert one(prefect(url), "not the address of a server").level == "fail"


@pytest.mark.parametrize("url", ["", "  "])
def test_an_address_set_but_empty_is_the_trap_it_is(url: str) -> None:
    finding = one(prefect(url), "set but empty")
    assert (finding.level, finding.fix) == ("fail", "unset PREFECT_API_URL")


def test_no_address_means_a_server_of_our_own() -> None:
    assert one(server.findings({}), "PREFECT_API_URL is not set").level == "note"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CPU = "sys/devices/system/cpu"


def test_a_cpu_that_keeps_nothing_back_is_well(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/cpuinfo": "processor: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16\n",
            f"{CPU}/online": "0-3\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        },
    )
    found = list(processor.findings(HOST, {}, root))
    assert "AVX2, AVX-512, AVX-512 bf16, AMX bf16" in one(found, "EPYC").text
    assert worst(found) == "note"  # the allocator's
    assert none(found, "not measured")


def test_a_cpu_that_is_held_back_is_told_by_what(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/cpuinfo": "flags : fpu sse2\n",
            f"{CPU}/online": "0-31,64-95\n",
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu0/cpufreq/scaling_driver": "acpi-cpufreq\n",
            "sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n",
        },
    )
    found = list(processor.findings(HOST, {"OMP_NUM_THREADS": "64"}, root))
    assert "4 of 64 cores" in one(found, "may use").text
    assert one(found, "powersave").level == "warn"
    assert "no AVX2" in one(found, "EPYC").text
    assert one(found, "no bf16").level == "note"
    assert "huge pages are off" in one(found, "huge pages").text
    assert one(found, "OMP_NUM_THREADS=64").fix == "unset OMP_NUM_THREADS"


def test_powersave_of_intel_pstate_is_no_fault(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPU}/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
        },
    )
    assert one(processor.findings(HOST, {}, root), "powersave").level == "ok"


def test_a_machine_that_shows_nothing_is_not_measured_rather_than_well(tmp_path: Path) -> None:
    found = list(processor.findings(HOST, {}, tmp_path))
    for words in ("instruction sets", "governor", "huge pages"):
        finding = one(found, words)
        assert finding.level == "note"
        assert "not measured" in finding.text


def test_an_allocator_that_sessions_do_not_get_is_told_so(tmp_path: Path) -> None:
    found = list(processor.findings(HOST, {"MALLOC_ARENA_MAX": "2"}, tmp_path))
    assert "sessions do not get it" in one(found, "MALLOC_ARENA_MAX=2").text
