"""The edge of the command line: usage, files, interruptions, the missing extra; never a traceback, never a key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmcore.cli
from llmcore.cli.outcome import exit_code, lines, single
from llmcore.errors import (
    AllProvidersFailed,
    AuthenticationError,
    ConfigurationError,
    EndpointError,
    InvalidRequestError,
    ModelNotFoundError,
    ServerError,
)

Llmcore = Callable[..., Any]
KEY = "sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("nope",), None, 'Unknown command "nope"'),
        (("generate", "hi", "--modl", "x"), None, "see `llmcore generate --help`"),
        (("generate", "hi", "--max-tokens", "many"), None, "--max-tokens"),
        (("generate", "hi", "--reasoning", "hard"), None, "--reasoning"),
        (("generate",), None, "prompt: give one as an argument, with --file, or on standard input"),
        (("generate",), b"", "prompt: is empty; say what you want to know"),
        (("generate", " \n"), None, "prompt: is empty; say what you want to know"),
        (("generate",), b"\xff", "standard input is not UTF-8 (byte 0); convert it first"),
        (
            ("generate", "--file", "nowhere.txt"),
            None,
            "--file: nowhere.txt cannot be read: No such file or directory",
        ),
        (("generate", "hi", "--image", "nowhere.png"), None, "--image: nowhere.png cannot be read"),
        (("generate", "hi", "--schema", "nowhere.json"), None, "--schema: nowhere.json cannot be read"),
        (("generate", "hi", "--schema", "list.json"), None, "--schema: list.json holds no JSON object"),
        (("generate", "hi", "--schema", "broken.json"), None, "--schema: broken.json is not JSON"),
        (("generate", "hi", "--schema", "odd.json"), None, "response_format.schema.type"),
        (("generate", "hi", "--temperature", "9"), None, "temperature: 9.0 must be a number from 0 to 2"),
        (("generate", "\udcff"), None, "text is not valid Unicode"),
        (
            ("generate", "hi", "-p", "twoo"),
            None,
            "--provider: there is no provider named 'twoo'; did you mean 'two'?",
        ),
        (("generate", "hi", "-c", "nowhere.toml"), None, "nowhere.toml: there is no such file"),
        (("generate", "hi", "--stats", "no/where"), None, "--stats: no/where cannot be written"),
        (("embed",), b"\n", "texts: there are none; give at least one"),
        (("stats",), None, "see `llmcore stats --help`"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    llmcore: Llmcore,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    stdin: bytes | None,
    says: str,
) -> None:
    monkeypatch.setenv("LLMCORE_CONFIG", str(config))
    for name, text in (("list.json", "[]"), ("broken.json", "{"), ("odd.json", '{"type": "thing"}')):
        Path(name).write_text(text, encoding="utf-8")
    done = llmcore(*arguments, stdin=stdin)
    assert done.code == 2, done.err
    assert done.err.startswith("llmcore: ")
    assert done.err.count("\n") == 1
    assert says in done.err


def test_every_complaint_about_a_configuration_has_its_line(llmcore: Llmcore) -> None:
    Path("c.toml").write_text(
        f'[[llm.providers]]\nprovider = "opnai"\napi_key = "{KEY}"\nmodle = 1\n', encoding="utf-8"
    )
    done = llmcore("generate", "hi", "-c", "c.toml")
    assert done.code == 2
    assert [line.split(":")[1].strip() for line in done.err.splitlines()] == [
        "llm.providers[0].provider",
        "llm.providers[0].modle",
    ]
    assert KEY not in done.err


def test_without_a_file_a_kind_can_be_named(llmcore: Llmcore) -> None:
    done = llmcore("generate", "hi", "-p", "groq", "-m", "x")
    assert done.code == 2
    assert "GROQ_API_KEY" in done.err


def test_a_fault_of_ours_is_a_line_too(
    llmcore: Llmcore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"what {KEY} should not be seen")

    monkeypatch.setattr("llmcore.cli.generate.tell", broken)
    done = llmcore("generate", "say: hi", "-c", str(config))
    assert done.code == 1
    assert done.err.startswith("llmcore: RuntimeError: what *** should not be seen\n")
    assert "Traceback" not in done.err


def test_help_tells_the_exit_codes(llmcore: Llmcore) -> None:
    for arguments in (("--help",), ("generate", "--help")):
        done = llmcore(*arguments)
        assert done.code == 0
        assert "Exit codes: 0 done, 1 the call failed, 2 wrong usage" in " ".join(done.out.split())


HIDING = """
import sys

class Hiding:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hiding())
from llmcore.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("module", "extra"), [("sqlalchemy", "gateway"), ("uvicorn", "gateway"), ("opentelemetry", "otel")]
)
def test_the_gateway_without_its_extras_says_how_to_get_them(tmp_path: Path, module: str, extra: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        '[[llm.providers]]\nname = "a"\nprovider = "ollama"\n[gateway]\nport = 0\ntracing = true\n',
        encoding="utf-8",
    )
    command = (
        sys.executable,
        "-c",
        HIDING,
        module,
        "serve",
        "-c",
        str(config),
        "--data-dir",
        str(tmp_path / "d"),
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"needs the extra `{extra}`: pip install 'llmcore-kit[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_its_extra_the_command_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llmcore.cli.find_spec", lambda name: None)
    assert llmcore_main(["--help"]) == 2
    assert capsys.readouterr().err == llmcore.cli.MISSING + "\n"


def llmcore_main(arguments: list[str]) -> int:
    return llmcore.cli.main(arguments)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("a: b"), 2),
        (EndpointError("no"), 2),
        (InvalidRequestError("before anything was sent"), 2),
        (InvalidRequestError("said by the vendor", status=400), 1),
        (ModelNotFoundError("no model"), 2),
        (ModelNotFoundError("no such model", status=404), 1),
        (AuthenticationError("no", status=401), 1),
        (AllProvidersFailed("all", [ServerError("x")]), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_groups_of_task_groups_are_opened_and_ours_are_not() -> None:
    ours = AllProvidersFailed("all", [ServerError("x"), AuthenticationError("y")])
    assert single(ExceptionGroup("g", [ExceptionGroup("h", [ours])])) is ours
    assert lines(ours)[0].startswith("all; the most telling error: AuthenticationError: y; check the key")


def run_apart(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmcore.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environ},
    )


def test_help_imports_nothing_dear() -> None:
    code = (
        "import sys\nfrom llmcore.cli import main\nmain(['--help'])\n"
        "print([name for name in ('httpx', 'pyreqwest', 'anyio', 'genai_prices', 'llmcore.build', 'llmcore.sim')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_is_no_traceback(config: Path) -> None:
    command = f"{sys.executable} -m llmcore.cli generate 'count: 3000' -c {config} | head -c 5"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert len(done.stdout) == 5
    assert done.stderr == ""


def test_ctrl_c_ends_with_130(config: Path) -> None:
    arguments = ["generate", "count: 60", "-m", "two/trickle-5", "-c", str(config)]
    with subprocess.Popen(
        [sys.executable, "-m", "llmcore.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == b"interrupted\n"
    assert out.endswith(b"\n")
