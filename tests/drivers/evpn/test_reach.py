"""Goal: a switch that is not there, says no or says nothing is told apart, and nothing hangs.

Method: this machine's own shell stands in for a switch; it is not given leave to change anything.
"""

import asyncio

import pytest

from gigawatt.drivers.evpn.reach import Reach, fed
from gigawatt.errors import DriverPermanentError, DriverRetryableError

DEVICE = "port/n0"


def run(words, script, wait_s_max=10.0):
    return asyncio.run(Reach("leaf0", words, wait_s_max).run(script, DEVICE))


def test_what_a_script_prints_comes_back():
    assert run((), "echo one\necho two") == "one\ntwo\n"
    assert run(("env",), "cat <<'END'\n$HOME `x`\nEND") == "$HOME `x`\n"


def test_it_stops_at_the_first_error_and_says_it():
    with pytest.raises(DriverPermanentError, match="leaf0 failed with 3: no such thing") as raised:
        run((), "(echo no such thing >&2; exit 3)\necho not reached > /dev/null")
    assert raised.value.device == DEVICE


@pytest.mark.parametrize(
    ("words", "said"),
    [(("no-such-program",), "No such file"), (("false",), "ended with 1")],
)
def test_a_switch_that_is_not_reached_may_be_tried_again(words, said):
    with pytest.raises(DriverRetryableError, match=said):
        run(words, "echo")


def test_a_switch_that_says_nothing_is_given_up():
    with pytest.raises(DriverRetryableError, match="no answer in"):
        run((), "exec sleep 60", wait_s_max=0.2)


def test_a_half_of_a_script_is_never_run(tmp_path):
    cut = tmp_path / "cut"
    cut.write_text("#!/bin/sh\nhead -c 150 | sh -s\n")
    cut.chmod(0o755)
    with pytest.raises(DriverRetryableError):
        run((str(cut),), f"touch {tmp_path}/made\n" + "# more\n" * 100)
    assert not (tmp_path / "made").exists()


def test_each_answer_is_with_its_question_and_errors_with_it():
    found = asyncio.run(
        Reach("leaf0", (), 10.0).read(
            {"a": "echo 1; echo 2", "b": "ls /nowhere", "c": "true"}, DEVICE
        )
    )
    assert found["a"].split() == ["1", "2"]
    assert "nowhere" in found["b"]
    assert found["c"].strip() == ""


def test_no_lines_are_no_command():
    assert fed("ip", []) == ""
