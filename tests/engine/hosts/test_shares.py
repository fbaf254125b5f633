"""Who gets which share of a host: nothing twice, and everybody at last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.nvml import Gpu
from millrace.engine.hosts.shares import Claim, Request, Room, turn

GIB = 1 << 30
GPUS = tuple(Gpu(uuid=uuid, name="RTX 4090", vram=24 * GIB) for uuid in ("a", "b"))
HOST = Host(cores=16, memory=64 * GIB, gpus=GPUS)
BOTH = ("a", "b")

requests = st.builds(
    Request,
    cores=st.integers(1, HOST.cores),
    memory=st.integers(0, 64).map(lambda n: n * GIB),
    gpus=st.sampled_from([(), ("a",), ("b",), BOTH]),
    vram=st.integers(0, 24).map(lambda n: n * GIB),
)


def vram(gib: int, cores: int = 1) -> Request:
    return Request(cores=cores, gpus=BOTH, vram=gib * GIB)


WHOLE = Request(cores=1, gpus=BOTH)


def test_a_request_gets_the_gpu_with_the_most_room() -> None:
    claims = [Claim(cores=1, gpu="a", vram=4 * GIB)]
    assert turn(HOST, claims, [vram(4)]) == Claim(cores=1, gpu="b", vram=4 * GIB)


def test_a_request_without_stated_vram_takes_a_whole_gpu() -> None:
    whole = turn(HOST, [], [WHOLE])
    assert whole == Claim(cores=1, gpu="a", vram=24 * GIB, whole=True)
    assert turn(HOST, [whole, Claim(cores=1, gpu="b", vram=GIB)], [WHOLE]) is None


def test_a_gpu_of_unknown_vram_is_leased_whole_and_only_once() -> None:
    host = Host(cores=4, memory=GIB, gpus=(Gpu(uuid="u", name="GB10"),))
    first = turn(host, [], [Request(cores=1, gpus=("u",))])
    assert first == Claim(cores=1, gpu="u", vram=0, whole=True)
    assert turn(host, [first], [Request(cores=1, gpus=("u",))]) is None


def test_a_small_request_does_not_take_what_an_earlier_big_one_waits_for() -> None:
    claims = [Claim(cores=1, gpu=uuid, vram=4 * GIB) for uuid in BOTH]
    assert turn(HOST, claims, [vram(1)]) is not None
    assert turn(HOST, claims, [WHOLE, vram(1)]) is None
    assert turn(HOST, claims, [vram(22), vram(1)]) is None


def test_a_request_passes_an_earlier_one_that_it_takes_nothing_from() -> None:
    claims = [Claim(cores=1, gpu=uuid, vram=24 * GIB, whole=True) for uuid in BOTH]
    on_cpu = Request(cores=4)
    assert turn(HOST, claims, [WHOLE, on_cpu]) == Claim(cores=4)
    assert turn(HOST, claims, [Request(cores=11, gpus=BOTH), on_cpu]) is None


def test_a_whole_gpu_is_not_taken_from_an_earlier_one_that_waits_for_cores() -> None:
    claims = [Claim(cores=10)]
    assert turn(HOST, claims, [vram(4, cores=8), WHOLE]) is None


def test_leases_of_gpus_that_this_process_does_not_see_count_their_cores_only() -> None:
    claims = [Claim(cores=15, gpu="hidden", vram=80 * GIB, whole=True)]
    assert turn(HOST, claims, [WHOLE]) is not None
    assert turn(HOST, claims, [Request(cores=2)]) is None


def within(claims: list[Claim]) -> bool:
    """True when the claims, summed by hand, do not exceed the host."""
    for gpu in GPUS:
        mine = [claim for claim in claims if claim.gpu == gpu.uuid]
        alone = len(mine) == 1 or not any(claim.whole for claim in mine)
        if sum(claim.vram for claim in mine) > gpu.vram or not alone:
            return False
    cores, memory = sum(c.cores for c in claims), sum(c.memory for c in claims)
    return cores <= HOST.cores and memory <= HOST.memory


@given(st.lists(requests, max_size=40), st.data())
def test_no_order_of_coming_and_going_oversubscribes(
    coming: list[Request], data: st.DataObject
) -> None:
    claims: list[Claim] = []
    queue: list[Request] = []
    for request in coming:
        queue.append(request)
        for place in data.draw(st.permutations(range(len(queue))), label="who looks first"):
            claim = turn(HOST, claims, queue[: place + 1])
            if claim:
                claims.append(claim)
                del queue[place]
                break
        assert within(claims)
        if claims and data.draw(st.booleans(), label="does one end?"):
            claims.pop(data.draw(st.integers(0, len(claims) - 1)))


@given(requests, st.lists(requests, max_size=30), st.data())
def test_no_stream_of_later_requests_starves_an_earlier_one(
    first: Request, stream: list[Request], data: st.DataObject
) -> None:
    """The leases there at the beginning end one by one, later ones never: the first one gets in."""
    claims: list[Claim] = []
    while (claim := turn(HOST, claims, [WHOLE])) or (claim := turn(HOST, claims, [vram(6)])):
        claims.append(claim)
    before = len(claims)
    for request in stream:
        passed = turn(HOST, claims, [first, request])
        mine = turn(HOST, claims, [first])
        if mine:
            assert within([*claims, mine])
            return
        if passed:
            claims.append(passed)
        elif before:
            claims.pop(data.draw(st.integers(0, before - 1)))
            before -= 1
    assert turn(HOST, claims[before:], [first]) is not None


@given(st.lists(requests, max_size=20), requests)
def test_what_fits_behind_others_fits_alone(others: list[Request], request: Request) -> None:
    if turn(HOST, [], [*others, request]):
        assert Room(HOST).fit(request)
