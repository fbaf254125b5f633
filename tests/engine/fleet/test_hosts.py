"""Hosts of a pool that fail what others of it can do are passed over, and not for ever."""

from __future__ import annotations

from millrace.engine.fleet.hosts import AVOIDED_SECONDS, BOUNCES, Hosts

BOTH = {"good", "bad"}


def _failed_elsewhere_done(hosts: Hosts, *keys: str) -> None:
    for key in keys:
        hosts.failed("farm", "bad", key)
        hosts.done("farm", "good", "render", key, now=0.0)


def test_what_a_host_failed_goes_to_another_host_of_the_pool() -> None:
    hosts = Hosts()
    hosts.failed("farm", "bad", "k1")
    assert hosts.avoid("farm", "render", ["k1"], BOTH, 0.0) == ("bad",)
    assert hosts.avoid("farm", "render", ["k2"], BOTH, 0.0) == ()
    assert hosts.avoid("other", "render", ["k1"], BOTH, 0.0) == ()


def test_three_failures_that_another_could_do_keep_a_kind_from_a_host_for_a_while() -> None:
    hosts = Hosts()
    _failed_elsewhere_done(hosts, "k1", "k2")
    assert hosts.avoid("farm", "render", ["new"], BOTH, 1.0) == ()
    _failed_elsewhere_done(hosts, "k3")
    assert hosts.avoid("farm", "render", ["new"], BOTH, 1.0) == ("bad",)
    assert hosts.avoid("farm", "encode", ["new"], BOTH, 1.0) == ()
    assert hosts.avoid("farm", "render", ["new"], BOTH, AVOIDED_SECONDS + 1) == ()


def test_the_last_host_of_a_pool_is_never_passed_over() -> None:
    hosts = Hosts()
    _failed_elsewhere_done(hosts, "k1", "k2", "k3")
    assert hosts.avoid("farm", "render", ["new"], {"bad"}, 1.0) == ()


def test_a_batch_that_only_bounces_is_let_in_again() -> None:
    hosts = Hosts()
    hosts.failed("farm", "bad", "k1")
    for _ in range(BOUNCES):
        assert hosts.avoid("farm", "render", ["k1"], BOTH, 0.0) == ("bad",)
        hosts.bounced("k1")
    assert hosts.avoid("farm", "render", ["k1"], BOTH, 0.0) == ()


def test_what_fails_everywhere_is_no_hosts_fault() -> None:
    hosts = Hosts()
    for key in ("k1", "k2", "k3", "k4"):
        hosts.failed("farm", "bad", key)
        hosts.failed("farm", "good", key)
    assert hosts.avoid("farm", "render", ["new"], BOTH, 1.0) == ()
