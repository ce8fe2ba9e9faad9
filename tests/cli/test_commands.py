"""The commands against simulated providers: answers on stdout, the rest on stderr, and exit codes that scripts can use."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmcore.sim import SimulatorThread

Llmcore = Callable[..., Any]
KEY = "sk-canary-0123456789abcdef"


# ----------------------------------------------------------------------------------------------- generate


def test_the_answer_alone_goes_to_stdout(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "say: hello\nthere", "-c", str(config))
    assert (done.code, done.out, done.err) == (0, "hello\nthere\n", "")


def test_without_streaming_the_answer_is_the_same(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "say: hello", "-c", str(config), "--no-stream")
    assert (done.code, done.out, done.err) == (0, "hello\n", "")


def test_verbose_shows_who_was_tried_and_what_it_took(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "say: hello", "-c", str(config), "-v")
    lines = done.err.splitlines()
    assert lines[0].split() == ["#", "PROVIDER", "MODEL", "OUTCOME", "STATUS", "TOOK"]
    assert lines[1].split()[:4] == ["1", "down", "m", "ConnectionRefused"]
    assert lines[2].split()[:5] == ["2", "two", "sim-large", "success", "200"]
    assert lines[3].startswith("two/sim-large | ")
    assert " | cost $0.0000" in lines[3]


def test_json_tells_everything(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "say: hellö", "-c", str(config), "--json")
    value = json.loads(done.out)
    assert value["text"] == "hellö"
    assert (value["provider"], value["model"], value["finish_reason"]) == ("two", "sim-large", "stop")
    assert [attempt["outcome"] for attempt in value["attempts"]] == ["ConnectionRefused", "success"]
    usage = value["usage"]
    assert (
        Decimal(usage["cost_usd"])
        == (Decimal(usage["input_tokens"]) + 2 * usage["output_tokens"]) / 1_000_000
    )


@pytest.mark.parametrize(
    ("arguments", "stdin", "text"),
    [
        (("say: from an argument",), None, "from an argument"),
        ((), b"say: from stdin\n", "from stdin"),
        (("--file", "-"), b"say: from stdin", "from stdin"),
        (("--file", "prompt.txt"), None, "from a file"),
        (("say: both", "--file", "prompt.txt"), None, "both\n\nsay: from a file"),
        (("say: both", "--file", "-"), b"stdin", "both\n\nstdin"),
    ],
)
def test_where_the_prompt_comes_from(
    llmcore: Llmcore, config: Path, arguments: tuple[str, ...], stdin: bytes | None, text: str
) -> None:
    Path("prompt.txt").write_text("\ufeffsay: from a file\n", encoding="utf-8")
    assert llmcore("generate", *arguments, "-c", str(config), stdin=stdin).out == text + "\n"


def test_options_reach_the_request(llmcore: Llmcore, config: Path, sim: SimulatorThread) -> None:
    Path("shape.json").write_text(
        '{"type": "object", "properties": {"city": {"type": "string"}}}', encoding="utf-8"
    )
    Path("dot.png").write_bytes(b"\x89PNG")
    done = llmcore(
        "generate", "where?", "-p", "three", "-m", "sim-large", "-s", "Be brief.", "--max-tokens", "50",
        "--temperature", "0.5", "--schema", "shape.json", "--image", "dot.png", "-c", str(config),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "city" in json.loads(done.out)
    asked = json.loads(sim.last.request.body)
    assert asked["generationConfig"]["maxOutputTokens"] == 50
    assert asked["generationConfig"]["temperature"] == 0.5
    assert asked["systemInstruction"]["parts"][0]["text"] == "Be brief."
    assert any("inlineData" in part for part in asked["contents"][0]["parts"])


def test_a_dropped_parameter_is_noted(llmcore: Llmcore, config: Path) -> None:
    done = llmcore(
        "generate", "say: hi", "-p", "two", "--reasoning", "high", "--temperature", "0.5", "-c", str(config)
    )
    assert done.out == "hi\n"
    assert all(line.startswith("note: ") for line in done.err.splitlines())


def test_a_cut_stream_shows_what_came_and_fails(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "count: 60", "-m", "two/cut-5", "-c", str(config))
    assert done.code == 1
    assert len(done.out.split()) == 5
    assert done.out.endswith("\n")
    assert done.err.startswith("llmcore: StreamInterruptedError: two/cut-5: ")
    assert done.err.count("\n") == 1


def test_an_answer_cut_off_at_its_limit_says_so(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "count: 60", "--max-tokens", "3", "-c", str(config))
    assert done.code == 0
    assert done.err == "llmcore: the answer was cut off at the limit of tokens; raise --max-tokens\n"


def test_a_refusal_is_told_and_fails(llmcore: Llmcore, sim: SimulatorThread, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        f'[[llm.providers]]\nprovider = "openai"\nbase_url = "{sim.base_url("openai")}"\napi_key = "{KEY}"\ntext_model = "m"',
        encoding="utf-8",
    )
    for more in ((), ("--no-stream",)):
        done = llmcore("generate", "refuse: not that", "-c", str(path), *more)
        assert done.code == 1
        assert "not that" in done.err
        assert "the model refused to answer" in done.err


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("two/fail-401", "AuthenticationError: two/fail-401: "),
        ("two/fail-404", "ModelNotFoundError: two/fail-404: "),
        ("two/fail-429-7", "RateLimitError: two/fail-429-7: "),
        ("two/quota-429", ": two/quota-429: "),
        ("two/html-502", "ServerError: two/html-502: "),
        ("two/reset", "ConnectionReset: two/reset: "),
    ],
)
def test_an_error_is_one_line_with_what_to_do(llmcore: Llmcore, config: Path, model: str, says: str) -> None:
    done = llmcore("generate", "hi", "-m", model, "-c", str(config))
    assert done.code == 1
    assert done.out == ""
    assert done.err.count("\n") == 1
    assert done.err.startswith("llmcore: ")
    assert says in done.err
    assert "; " in done.err
    assert KEY not in done.err


def test_when_everyone_fails_the_most_telling_error_is_told(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("generate", "hi", "-m", "fail-401", "-c", str(config), "-v")
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("llmcore: no provider answered ")
    assert "AuthenticationError" in done.err.splitlines()[-1]
    assert "check the key" in done.err
    assert done.err.splitlines()[0].startswith("#")


# -------------------------------------------------------------------------------------------------- embed


def test_embeddings_as_a_table_and_as_json(llmcore: Llmcore, config: Path) -> None:
    Path("lines.txt").write_text("two\n\nthree\n", encoding="utf-8")
    arguments = ("embed", "one", "--file", "lines.txt", "-p", "three", "--dimensions", "8", "-c", str(config))
    table = llmcore(*arguments)
    assert table.code == 0, table.err
    assert [line.split()[0] for line in table.out.splitlines()] == ["TEXT", "one", "two", "three"]
    value = json.loads(llmcore(*arguments, "--json").out)
    assert value["dimensions"] == 8
    assert [len(vector) for vector in value["vectors"]] == [8, 8, 8]


# ------------------------------------------------------------------------------------- models, providers


def test_models_of_everyone_who_answers(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("models", "-c", str(config), "--json")
    assert done.code == 0
    assert {model["provider"] for model in json.loads(done.out)} == {"two", "three"}
    assert done.err.startswith("llmcore: ConnectionRefused: down: ")
    table = llmcore("models", "-c", str(config), "-p", "two")
    assert table.out.startswith("PROVIDER")
    assert "sim-small" in table.out


def test_models_fails_where_nobody_answers(llmcore: Llmcore, config: Path) -> None:
    assert llmcore("models", "-c", str(config), "-p", "down").code == 1


def test_providers_tells_whether_a_key_is_set_and_never_shows_it(
    llmcore: Llmcore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    table = llmcore("providers")
    rows = {line.split()[0]: line.split() for line in table.out.splitlines()[1:]}
    assert rows["groq"][-2:] == ["GROQ_API_KEY", "yes"]
    assert rows["openai"][-2:] == ["OPENAI_API_KEY", "no"]
    assert rows["ollama"][-1] == "-"
    assert len(rows) >= 24
    whole = llmcore("providers", "--json")
    assert {one["provider"]: one["key_set"] for one in json.loads(whole.out)}["groq"] is True
    assert KEY not in table.out + whole.out


# --------------------------------------------------------------------------------------------- check, test


def test_a_good_configuration_is_called_good(llmcore: Llmcore, config: Path) -> None:
    done = llmcore("check", str(config))
    assert (done.code, done.out) == (0, f"{config}: good; 3 providers, strategy priority\n")


def test_check_tells_everything_at_once(llmcore: Llmcore, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[llm.providers]]\nname = "a"\nprovider = "opnai"\nmax_tokens = "1"\n'
        '[[llm.providers]]\nprovider = "groq"\napi_key = "${NOT_SET}"\n[llm.fallback]\nenabled = false\n',
        encoding="utf-8",
    )
    done = llmcore("check", str(path))
    assert done.code == 1
    told = [line.split(":")[0] for line in done.out.splitlines()]
    assert told[:-1] == [
        "error    llm.providers[0].provider",
        "error    llm.providers[0].max_tokens",
        "error    llm.providers[1].api_key",
        "warning  llm.providers[1]",
    ]
    assert json.loads(llmcore("check", str(path), "--json").out)["errors"][0].startswith(
        "llm.providers[0].provider: "
    )


@pytest.mark.parametrize("provider", ["ollama", "opnai"])
def test_check_reads_the_gateway_too(llmcore: Llmcore, tmp_path: Path, provider: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        f'[[llm.providers]]\nname = "a"\nprovider = "{provider}"\n[gateway]\nprot = 1\nredis_url = "${{NOT_SET}}"\n',
        encoding="utf-8",
    )
    done = llmcore("check", str(path))
    assert done.code == 1
    told = [line.split(":")[0] for line in done.out.splitlines() if line.startswith("error")]
    wrong = ["error    llm.providers[0].provider"] if provider == "opnai" else []
    assert told == [*wrong, "error    gateway.redis_url", "error    gateway.prot"]


def test_check_tells_a_broken_file_once(llmcore: Llmcore, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[[llm", encoding="utf-8")
    done = llmcore("check", str(path))
    assert (done.code, done.out.count("broken TOML")) == (1, 1)


def test_check_tells_which_keys_and_addresses_are_missing(llmcore: Llmcore, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[llm.providers]]\nprovider = "openai"\ntext_model = "m"\n'
        '[[llm.providers]]\nprovider = "openai_compatible"\ntext_model = "m"\n'
        '[[llm.providers]]\nprovider = "groq"\ntext_model = "m"\nenabled = false\n',
        encoding="utf-8",
    )
    done = llmcore("check", str(path))
    assert done.code == 1
    first, second, last = done.out.splitlines()
    assert first.startswith("error    llm.providers[0].api_key: ")
    assert "OPENAI_API_KEY" in first
    assert second.startswith("error    llm.providers[1].base_url: ")
    assert last == f"{path}: 2 errors, 0 warnings"


def test_test_asks_everyone_something_free(llmcore: Llmcore, config: Path, sim: SimulatorThread) -> None:
    sim.reset()
    done = llmcore("test", "-c", str(config))
    assert done.code == 1
    results = {line.split()[0]: line.split()[2] for line in done.out.splitlines()[1:]}
    assert results == {"down": "failed", "two": "ok", "three": "ok"}
    assert {record.understood.operation for record in sim.requests} == {"models"}
    assert llmcore("test", "-c", str(config), "-p", "two").code == 0


def test_billed_asks_for_a_word(llmcore: Llmcore, config: Path, sim: SimulatorThread) -> None:
    sim.reset()
    done = llmcore("test", "-c", str(config), "-p", "two", "--billed")
    assert done.code == 0
    assert "answered by sim-large" in done.out
    assert [record.understood.operation for record in sim.requests] == ["generate"]


# -------------------------------------------------------------------------------------------------- stats


def test_what_stats_notes_adds_up(llmcore: Llmcore, config: Path) -> None:
    for _ in range(2):
        assert llmcore("generate", "say: one two", "-c", str(config), "--stats", "calls.jsonl").code == 0
    assert (
        llmcore("generate", "hi", "-m", "two/fail-500", "-c", str(config), "--stats", "calls.jsonl").code == 1
    )
    text = Path("calls.jsonl").read_text(encoding="utf-8")
    assert "say:" not in text
    assert KEY not in text
    figures = {one["name"]: one for one in json.loads(llmcore("stats", "calls.jsonl", "--json").out)}
    assert {name: (one["requests"], one["successes"], one["failures"]) for name, one in figures.items()} == {
        "all calls": (3, 2, 1),
        "two": (3, 2, 1),
        "down": (2, 0, 2),
    }
    table = llmcore("stats", "calls.jsonl").out.splitlines()
    assert table[-1].startswith("all calls")


def test_a_file_that_is_no_journal_is_a_complaint(llmcore: Llmcore) -> None:
    Path("x.jsonl").write_text('{"outcome": "success"}\nnonsense\n', encoding="utf-8")
    done = llmcore("stats", "x.jsonl")
    assert (done.code, done.err) == (2, "llmcore: x.jsonl, line 2: is no entry of a journal; remove it\n")
    assert llmcore("stats", "nowhere.jsonl").code == 2


# ---------------------------------------------------------------------------------------------------- sim


def test_sim_lists_the_faults_that_a_name_asks_for(llmcore: Llmcore) -> None:
    done = llmcore("sim", "--faults")
    assert done.code == 0
    assert "fail-<status>" in done.out


def test_sim_complains_of_a_wrong_script(llmcore: Llmcore) -> None:
    Path("faults.toml").write_text("[[rules]]\nstatsu = 500\n", encoding="utf-8")
    done = llmcore("sim", "--port", "0", "--script", "faults.toml")
    assert done.code == 2
    assert done.err.startswith("llmcore: rules[0].statsu: unknown key")
