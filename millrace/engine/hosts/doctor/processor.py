"""The CPU and its memory: instruction sets, clocks, limits, pages, the allocator."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from millrace.engine.hosts.devices import Host, size
from millrace.engine.hosts.doctor.finding import Finding
from millrace.engine.sessions.environment import clean

AREA = "cpu"
SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI (int8)",
    "avx_vnni": "AVX VNNI (int8)",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
}


def findings(host: Host, environment: Mapping[str, str], root: Path) -> Iterator[Finding]:
    """Yields what the CPU can do and what keeps programs from using it fully."""
    yield from _instructions(host, root)
    yield from _cores(host, root)
    yield from _governor(root)
    yield from _threads(host, environment)
    yield from _pages(root)
    yield from _allocator(environment)


def _instructions(host: Host, root: Path) -> Iterator[Finding]:
    lines = (line for line in _text(root / "proc/cpuinfo").splitlines() if line.startswith("flags"))
    flags = set(next(lines, "").partition(":")[2].split())
    if not flags:
        yield Finding(area=AREA, level="note", text="instruction sets: not measured")
        return
    there = [name for flag, name in SETS.items() if flag in flags]
    yield Finding(area=AREA, level="ok", text=f"{host.cpu}: {', '.join(there) or 'no AVX2'}")
    if not {"avx512_bf16", "amx_bf16"} & flags:
        text = "no bf16 instructions: networks run in fp32, at about half the speed that bf16 gives"
        yield Finding(area=AREA, level="note", text=text, fix="only another CPU has them")


def _cores(host: Host, root: Path) -> Iterator[Finding]:
    text = f"{host.cores} cores, {size(host.memory)} of memory"
    online = _count(_text(root / "sys/devices/system/cpu/online"))
    if host.simulated or not online or host.cores >= online:
        yield Finding(area=AREA, level="ok", text=text)
        return
    affinity = len(os.sched_getaffinity(0))
    why = "its affinity (taskset, cpuset)" if affinity <= host.cores else "its cgroup's quota"
    yield Finding(
        area=AREA,
        level="warn",
        text=f"{text}: this process may use {host.cores} of {online} cores, by {why}",
        fix="raise the limit (taskset, docker --cpus, the unit's CPUQuota) to use the others",
    )


def _governor(root: Path) -> Iterator[Finding]:
    governors = {
        _text(path).strip()
        for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    } - {""}
    if not governors:
        text = "frequency governor: not measured (this machine does not show it)"
        yield Finding(area=AREA, level="note", text=text)
    elif "powersave" in governors and "intel_pstate" not in _driver(root):
        text = "the frequency governor is powersave: cores stay at their lowest clock"
        fix = "cpupower frequency-set -g performance (or schedutil)"
        yield Finding(area=AREA, level="warn", text=text, fix=fix)
    else:
        text = f"frequency governor: {', '.join(sorted(governors))}"
        yield Finding(area=AREA, level="ok", text=text)


def _threads(host: Host, environment: Mapping[str, str]) -> Iterator[Finding]:
    value = environment.get("OMP_NUM_THREADS", "")
    if not value:
        return
    wide = value.isdigit() and int(value) > host.cores
    text = (
        f"OMP_NUM_THREADS={value} in your shell: sessions ignore it, they get their lease's cores"
    )
    if wide:
        text = f"{text}; your own programs would run more threads than the {host.cores} cores"
    fix = "unset OMP_NUM_THREADS" if wide else ""
    yield Finding(area=AREA, level="note", text=text, fix=fix)


def _pages(root: Path) -> Iterator[Finding]:
    setting = _text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    if "[never]" in setting:
        text = "transparent huge pages are off: large frames and weights cost more TLB misses"
        fix = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
        yield Finding(area="memory", level="note", text=text, fix=fix)
    elif "[" in setting:
        chosen = setting[setting.index("[") + 1 : setting.index("]")]
        yield Finding(area="memory", level="ok", text=f"transparent huge pages: {chosen}")
    else:
        yield Finding(area="memory", level="note", text="transparent huge pages: not measured")


def _allocator(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yields what is set for malloc. By default glibc makes up to eight arenas for each core."""
    names = ("LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_CONF")
    for name in (name for name in names if environment.get(name)):
        text = f"{name}={environment[name]}"
        if name not in clean(environment):
            text = f"{text} in your shell: sessions do not get it"
        yield Finding(area="memory", level="note", text=text)
    if not any(environment.get(name) for name in names):
        text = "glibc's malloc with its defaults: memory that many threads freed may stay resident"
        fix = "only if memory runs short: MALLOC_ARENA_MAX=2 for the programs concerned"
        yield Finding(area="memory", level="note", text=text, fix=fix)


def _driver(root: Path) -> str:
    return _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver").strip()


def _count(ranges: str) -> int:
    """Returns how many numbers a list such as `0-3,8` holds, 0 for none."""
    bounds = [part.split("-") for part in ranges.strip().split(",") if part]
    return sum(int(b[-1]) - int(b[0]) + 1 for b in bounds)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
