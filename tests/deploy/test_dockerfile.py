"""The Dockerfile by a small linter: instructions, stages, user, sources; and the scripts that it copies, run."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, KNOWN_IMAGES, ROOT, check_command

KNOWN = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
KNOWN |= {"ENTRYPOINT", "CMD", "ARG", "LABEL", "SHELL"}
Instruction = tuple[str, str]


def parse(text: str) -> list[list[Instruction]]:
    """The instructions, stage by stage. Raises AssertionError for what no Dockerfile may hold."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: list[list[Instruction]] = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        assert word in KNOWN, f"{word} is no instruction"
        assert rest.strip(), f"{word} says nothing"
        if word == "FROM":
            stages.append([])
        assert stages, "the first instruction is FROM"
        stages[-1].append((word, rest.strip()))
    return stages


def said(stage: list[Instruction], word: str) -> list[str]:
    return [rest for name, rest in stage if name == word]


def copied(stage: list[Instruction]) -> Iterator[tuple[list[str], bool]]:
    """The sources of each COPY, and whether they come from another stage."""
    for rest in said(stage, "COPY"):
        words = shlex.split(rest)
        options = [word for word in words if word.startswith("--")]
        yield [word for word in words if word not in options][:-1], any("--from" in word for word in options)


@pytest.fixture(scope="module")
def stages() -> list[list[Instruction]]:
    return parse((DEPLOY / "Dockerfile").read_text())


def test_it_has_a_stage_to_build_and_one_to_run(stages: list[list[Instruction]]) -> None:
    assert len(stages) == 2
    images = [said(stage, "FROM")[0].split(" ")[0] for stage in stages]
    assert set(images) <= KNOWN_IMAGES
    last = stages[-1]
    assert not any("pip" in line or "apt" in line for line in said(last, "RUN"))


def test_it_runs_as_nobody_of_weight(stages: list[list[Instruction]]) -> None:
    users = said(stages[-1], "USER")
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[0]), (
        "a number, so that a cluster can see that it is not root"
    )
    words = [word for word, _ in stages[-1]]
    assert words.index("USER") > max(index for index, word in enumerate(words) if word in {"RUN", "COPY"})


def test_what_is_copied_is_there_and_is_not_ignored(stages: list[list[Instruction]]) -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignore, "all that is not named stays out, .git and secrets first"
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    found = [
        source for stage in stages for sources, other in copied(stage) if not other for source in sources
    ]
    assert found
    for source in found:
        assert (ROOT / source).exists(), source
        assert source in allowed, source
    assert set(found) == allowed


def test_no_secret_is_in_a_layer(stages: list[list[Instruction]]) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for stage in stages:
        assert not said(stage, "ARG")
        for line in said(stage, "ENV"):
            assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN|_URL", line)
    assert "ADD " not in text
    assert "curl" not in text


def test_t16_it_installs_what_the_locks_name_and_nothing_else(stages: list[list[Instruction]]) -> None:
    commands = [part for line in said(stages[0], "RUN") for part in line.split("&&") if "pip " in part]
    assert len(commands) == 4
    for command in commands:
        locked = "--require-hashes -r deploy/" in command
        ours = "--no-deps --no-build-isolation" in command or "--no-deps --no-index" in command
        assert locked != ours, command


def test_its_commands_are_ours_and_its_port_is_the_one_that_is_served(
    stages: list[list[Instruction]],
) -> None:
    last = stages[-1]
    command = json.loads(said(last, "CMD")[0])
    check_command(command)
    assert command[command.index("--port") + 1] == said(last, "EXPOSE")[0]
    assert json.loads(said(last, "ENTRYPOINT")[0]) == ["/usr/local/bin/entrypoint.sh"]
    assert "/usr/local/bin/healthcheck.py" in said(last, "HEALTHCHECK")[0]
    assert said(last, "STOPSIGNAL") == ["SIGTERM"]


@pytest.mark.parametrize(
    "text", ["RUN true", "FROM a\nINSTALL b", "FROM a\nUSER", "FROM a\nRUN b\\\n c\nnonsense d"]
)
def test_the_linter_sees_what_is_wrong(text: str) -> None:
    with pytest.raises(AssertionError):
        parse(text)


# ------------------------------------------------------------------------------------------------ the scripts


def entered(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(DEPLOY / "entrypoint.sh"), *command],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_secrets_by_file_become_variables(tmp_path: Path) -> None:
    secret = tmp_path / "a secret"
    secret.write_text("with 'quotes' $(date) and \"more\"\n")
    done = entered(
        *(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"),
        LLMCORE_DATABASE_URL_FILE=str(secret),
        OPENAI_API_KEY_FILE=str(secret),
        SSL_CERT_FILE="/etc/ssl/cert.pem",
        OTHER_FILE=str(secret),
    )
    found = json.loads(done.stdout)
    assert found["LLMCORE_DATABASE_URL"] == found["OPENAI_API_KEY"] == "with 'quotes' $(date) and \"more\""
    assert found["SSL_CERT_FILE"] == "/etc/ssl/cert.pem"
    assert "OTHER" not in found
    assert "LLMCORE_DATABASE_URL_FILE" not in found


def test_a_secret_that_cannot_be_read_stops_it_in_one_line(tmp_path: Path) -> None:
    done = entered("echo", "started", LLMCORE_MASTER_KEY_FILE=str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "LLMCORE_MASTER_KEY_FILE" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_exit_code_and_the_arguments_are_the_commands() -> None:
    done = entered("sh", "-c", 'echo "$1"; exit 7', "sh", "two  words")
    assert (done.returncode, done.stdout) == (7, "two  words\n")


class _Answers(BaseHTTPRequestHandler):
    status = 200
    asked: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"]))
        self.send_response(self.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        return


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (421, 1)])
def test_the_health_check_asks_whether_it_is_ready(status: int, code: int) -> None:
    handler = type("Handler", (_Answers,), {"status": status, "asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        environ = {"LLMCORE_HEALTH_PORT": str(server.server_address[1])}
        done = subprocess.run([sys.executable, DEPLOY / "healthcheck.py"], env=environ, check=False)
        thread.join()
    assert done.returncode == code
    ((path, host),) = handler.asked  # type: ignore[attr-defined]  # made just above
    assert path == "/readyz"
    assert host == f"127.0.0.1:{environ['LLMCORE_HEALTH_PORT']}"


def test_the_health_check_fails_where_nobody_listens() -> None:
    done = subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"],
        env={"LLMCORE_HEALTH_PORT": "1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")


def test_secrets_are_made_once_and_fit_each_other(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_text((DEPLOY / "make-secrets.sh").read_text())
    subprocess.run(["sh", script], check=True, capture_output=True)
    folder = tmp_path / "secrets"
    made = {path.name: path.read_text().strip() for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert made["postgres_password"] in made["database_url"]
    assert made["redis_password"] in made["redis_url"]
    assert len({made["postgres_password"], made["redis_password"], made["master_key"]}) == 3
    from llmcore.gateway.vault.keyring import EnvironmentKeys

    assert len(EnvironmentKeys({"LLMCORE_MASTER_KEY": made["master_key"]}).load()) == 1
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert made == {path.name: path.read_text().strip() for path in folder.iterdir()}


def test_the_scripts_can_be_run_and_secrets_are_not_committed() -> None:
    for script in DEPLOY.glob("*.sh"):
        assert os.access(script, os.X_OK), script
    assert "secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()
