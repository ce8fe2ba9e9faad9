"""The conversation: history, commands, switching providers, and Ctrl-C that stops the answer alone."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmcore.cli.chat import HELP, Talk, obey
from llmcore.sim import SimulatorThread
from llmcore.types import Message

Llmcore = Callable[..., Any]
NAMES = ("one", "two")


def nowhere(path: Path, text: str) -> None:
    raise OSError(13, "Permission denied")


def told(line: str) -> str:
    return obey(line, Talk(), NAMES, nowhere).told


def test_a_request_holds_the_whole_talk() -> None:
    talk = Talk(model="m", system="Be brief.").after("a", Message.assistant("b"))
    request = talk.request("c")
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]
    assert request.model == "m"


def test_commands_change_the_talk() -> None:
    talk = Talk(model="m").after("a", Message.assistant("b"))
    assert obey("/switch two", talk, NAMES, nowhere).talk == Talk(talk.messages, target="two")
    assert obey("/switch", Talk(target="two"), NAMES, nowhere).talk == Talk()
    assert obey("/model x", talk, NAMES, nowhere).talk.model == "x"
    assert obey("/model", talk, NAMES, nowhere).talk.model is None
    assert obey("/system Be kind.", talk, NAMES, nowhere).talk.system == "Be kind."
    assert obey("/reset", talk, NAMES, nowhere).talk.messages == ()
    assert obey("/quit", talk, NAMES, nowhere).quit


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/help", HELP),
        ("/switch tow", "there is no provider named 'tow'; did you mean 'two'?"),
        ("/save", "say where: /save FILE"),
        ("/save x", "x cannot be written: Permission denied"),
        ("/rest", "unknown command /rest; did you mean 'reset'?"),
    ],
)
def test_what_commands_say(line: str, says: str) -> None:
    assert told(line) == says


def test_a_talk_is_saved_as_json() -> None:
    kept: dict[str, str] = {}
    talk = Talk(system="s").after("ä", Message.assistant("b"))
    obey("/save there.json", talk, NAMES, lambda path, text: kept.update({str(path): text}))
    assert json.loads(kept["there.json"]) == [
        {"role": "system", "text": "s"},
        {"role": "user", "text": "ä"},
        {"role": "assistant", "text": "b"},
    ]


def test_a_piped_talk_keeps_its_history_and_switches(
    llmcore: Llmcore, config: Path, sim: SimulatorThread
) -> None:
    sim.reset()
    done = llmcore(
        "chat", "-c", str(config), stdin=b"say: first\n/switch three\nsay: second\n/save talk.json\n"
    )
    assert (done.code, done.out) == (0, "first\nsecond\n")
    assert [record.dialect for record in sim.requests] == ["anthropic", "gemini"]
    assert [turn["text"] for turn in json.loads(Path("talk.json").read_text(encoding="utf-8"))] == [
        "say: first",
        "first",
        "say: second",
        "second",
    ]


def test_a_failed_answer_is_told_and_the_talk_goes_on(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("chat", "-c", str(config), stdin=b"/switch down\nhello\n/switch two\nsay: still here\n")
    assert (done.code, done.out) == (0, "still here\n")
    assert "llmcore: ConnectionRefused: down/m: " in done.err


def test_ctrl_c_stops_the_answer_and_not_the_program(config: Path) -> None:
    master, slave = pty.openpty()
    chat = f"{sys.executable} -m llmcore.cli chat -c {config} -m two/trickle-10"
    command = [
        "sh",
        "-c",
        f"exec {chat} < {os.ttyname(slave)}",
    ]  # the first terminal that a session opens is its own
    environ = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen(
        command, stdout=slave, stderr=slave, start_new_session=True, env=environ
    ) as process:
        os.close(slave)
        try:
            _until(master, "you> ")
            os.write(master, b"count: 60\n")
            _until(master, "word5")
            os.write(master, b"\x03")
            assert "stopped" in _until(master, "you> ")
            os.write(master, b"/model two/sim-small\n")
            _until(master, "you> ")
            os.write(master, b"say: still here\n")
            assert "\nstill here" in _until(master, "you> ").replace("\r", "")
            os.write(master, b"/quit\n")
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            os.close(master)


def _until(master: int, text: str) -> str:
    """What the program writes up to `text`."""
    seen = ""
    while text not in seen:
        readable, _, _ = select.select([master], [], [], 20)
        assert readable, f"nothing after {seen!r}"
        seen += os.read(master, 1024).decode("utf-8", "replace")
    return seen
