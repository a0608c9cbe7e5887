"""Fault points: armed for tests, and for nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from trunkline.faultpoints import FaultInjected, FaultpointsRefused, configure_faultpoints, faultpoint


@pytest.fixture(autouse=True)
def disarmed():
    """Nothing stays armed."""
    yield
    configure_faultpoints("", "test")


def test_a_point_that_is_not_armed_does_nothing():
    """What everybody has."""
    faultpoint("relay.after_xadd")


def test_a_point_acts_once_at_the_time_it_is_told():
    """The third time, and not again."""
    configure_faultpoints("relay.after_xadd=error@3", "test")
    faultpoint("relay.after_xadd")
    faultpoint("relay.before_xadd")
    faultpoint("relay.after_xadd")
    with pytest.raises(FaultInjected):
        faultpoint("relay.after_xadd")
    faultpoint("relay.after_xadd")


def test_a_process_ends_as_if_killed():
    """No clean-up runs, and the status is the one that was asked for."""
    program = (
        "from trunkline.faultpoints import configure_faultpoints, faultpoint\n"
        "configure_faultpoints('consumer.after_ack=exit:137', 'test')\n"
        "try:\n    faultpoint('consumer.after_ack')\nfinally:\n    print('cleaned up')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (137, b"")


@pytest.mark.parametrize("profile", ["development", "production"])
def test_outside_the_test_profile_they_are_refused(profile):
    """A process that serves people has none, and says what to do."""
    with pytest.raises(FaultpointsRefused, match="unset it"):
        configure_faultpoints("relay.after_xadd=exit:137", profile)
    configure_faultpoints("", profile)


@pytest.mark.parametrize("text", ["relay.nowhere=exit:137", "relay.after_xadd", "relay.after_xadd=sing", "=exit"])
def test_what_is_no_point_is_refused(text):
    """A misspelt point would prove nothing."""
    with pytest.raises(FaultpointsRefused, match="not a point"):
        configure_faultpoints(text, "test")
