"""People's input is strict: every mistake at once, each with its path and what to do; what is written loads again."""

from __future__ import annotations

import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llmcore.config import (
    CAPABILITIES,
    MID_STREAM,
    STRATEGIES,
    BreakerConfig,
    BudgetConfig,
    FallbackConfig,
    KeyConfig,
    LlmConfig,
    ProviderConfig,
    Timeouts,
)
from llmcore.errors import ConfigurationError
from llmcore.loader import Report, dump, examine, load_config
from llmcore.prices import Price
from llmcore.secret import Secret

KINDS = ("openai", "anthropic", "azure_openai", "gemini", "ollama", "openai_compatible")
ROOT = Path(__file__).parent.parent
CANARY = "sk-canary-0123456789abcdef"
ONE = '[[llm.providers]]\nprovider = "openai"\ntext_model = "m"\n'


def look(source: Any, **environ: str) -> Report:
    return examine(source, environ=environ, kinds=KINDS)


def errors_of(source: Any, **environ: str) -> tuple[str, ...]:
    return look(source, **environ).errors


def good(source: Any, **environ: str) -> LlmConfig:
    return load_config(source, environ=environ, kinds=KINDS)


# -------------------------------------------------------------------------------------------- what works


def test_the_documented_example_loads() -> None:
    report = look(ROOT / "config.toml", OPENAI_API_KEY="a", ANTHROPIC_API_KEY="b")
    assert report.errors == ()
    assert report.warnings == ()
    config = report.config
    assert config is not None
    assert [provider.name for provider in config.providers] == ["primary", "secondary", "work", "local"]
    assert config.providers[0] == ProviderConfig(
        name="primary",
        provider="openai",
        api_key=Secret("a"),
        text_model="gpt-4o-mini",
        embedding_model="text-embedding-3-small",
        max_tokens=4096,
        temperature=0.7,
        priority=1,
    )
    assert config.fallback == FallbackConfig(max_retries=3, retry_delay_ms=1000, mid_stream="restart")


def test_the_documented_example_names_every_key() -> None:
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    for cls, skip in (
        (ProviderConfig, {"written"}),
        (KeyConfig, set()),
        (FallbackConfig, set()),
        (BreakerConfig, set()),
        (BudgetConfig, set()),
        (Timeouts, set()),
        (LlmConfig, set()),
    ):
        for entry in cls.__attrs_attrs__:
            assert entry.name in skip or f"{entry.name} = " in text or f".{entry.name}]" in text, entry.name


def test_each_commented_key_of_the_example_is_a_key() -> None:
    lines = (ROOT / "config.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("[[llm.providers]]")
    first = [line.removeprefix("# ") for line in lines[start : lines.index("[[llm.providers]]", start + 1)]]
    config = good("\n".join(first), OPENAI_API_KEY="a")
    assert config.providers[0].capabilities == frozenset({"tools", "images", "schema"})
    (line,) = [line.removeprefix("# ") for line in lines if line.startswith("# api_keys")]
    keys = good(ONE + line, TEAM_KEY="a", SPARE_KEY="b").providers[0].api_keys
    assert keys == (KeyConfig("key-1", "a"), KeyConfig("spare", "b", 0.5))


def test_its_commented_defaults_are_the_defaults() -> None:
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    section = text[text.index("\n[llm.fallback]\n") : text.index("\n[llm.timeouts]\n")]
    lines = [
        line.removeprefix("# ")
        for line in section.splitlines()
        if line.startswith(("# ", "[")) and (" = " in line or line[0] == "[")
    ]
    shown = [line for line in lines if not line.startswith(("fallbacks", "max_attempts", "hedge_after"))]
    config = good(ONE + "\n".join(shown))
    assert len(shown) >= 25
    assert config.fallback == FallbackConfig()


def test_a_path_text_and_mapping_load_alike(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xef\xbb\xbf" + ONE.encode())
    mapping = {"llm": {"providers": [{"provider": "openai", "text_model": "m"}]}}
    assert good(file) == good(str(file)) == good(ONE) == good(mapping)


def test_the_name_defaults_to_the_kind() -> None:
    assert good(ONE).providers[0].name == "openai"


def test_a_providers_timeouts_are_laid_over_the_common_ones() -> None:
    config = good(ONE + "timeouts = { connect = 1 }\n[llm.timeouts]\ntotal = 9\n")
    assert config.providers[0].timeouts == Timeouts(connect=1.0, total=9.0)
    assert config.timeouts == Timeouts(total=9.0)


def test_prices_are_exact() -> None:
    config = good(ONE + 'prices = { "a/b" = { input = 0.1, output = 3 }, "*" = { input = 1 } }')
    assert config.providers[0].prices == {
        "a/b": Price(Decimal("0.1"), Decimal(3)),
        "*": Price(Decimal(1)),
    }


@pytest.mark.parametrize(
    ("written", "environ", "value"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("http://${A}:${B}/v1", {"A": "localhost", "B": "1"}, "http://localhost:1/v1"),
        ("${A:-x}", {}, "x"),
        ("${A:-x}", {"A": ""}, "x"),
        ("${A:-x}", {"A": "y"}, "y"),
        ("$${A}", {"A": "y"}, "${A}"),
        ("$A", {"A": "y"}, "$A"),
        ("${A}", {"A": "${B}", "B": "z"}, "${B}"),
    ],
)
def test_variables_are_filled_in(written: str, environ: dict[str, str], value: str) -> None:
    config = good(ONE + f'extra = {{ deep = [{{ x = "{written}" }}] }}', **environ)
    assert config.providers[0].extra == {"deep": [{"x": value}]}
    assert type(config.providers[0].extra["deep"][0]["x"]) is str


# ---------------------------------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "max_tokens = '4096'",
            "max_tokens: must be a whole number, not the text '4096'; write it without quotes",
        ),
        ("max_tokens = true", "max_tokens: must be a whole number, not true"),
        ("max_tokens = 1.5", "max_tokens: must be a whole number, not 1.5"),
        ("max_tokens = 0", "max_tokens: must be at least 1, not 0"),
        ("temperature = 2.1", "temperature: must be a number from 0 to 2, not 2.1"),
        ("temperature = nan", "temperature: must be a number from 0 to 2, not nan"),
        ("temperature = true", "temperature: must be a number, not true"),
        ("priority = 'high'", "priority: must be a whole number, not the text 'high'"),
        ("weight = -0.5", "weight: must be a number of at least 0, not -0.5"),
        ("weight = inf", "weight: must be a number of at least 0, not inf"),
        ("max_in_flight = 0", "max_in_flight: must be at least 1, not 0"),
        ("rpm = 0", "rpm: must be at least 1, not 0"),
        ("tpm = 1.5", "tpm: must be a whole number, not 1.5"),
        ("context_window = -1", "context_window: must be at least 1, not -1"),
        ("max_output_tokens = true", "max_output_tokens: must be a whole number, not true"),
        (
            "capabilities = 'tools'",
            "capabilities: must be a list of texts, not the text 'tools'; put it in brackets",
        ),
        ("capabilities = ['tool']", "capabilities[0]: unknown capability 'tool'; did you mean 'tools'?"),
        ("capabilities = ['tools', 3]", None),
        ("api_keys = 'x'", None),
        ("api_keys = []", "api_keys: is empty; list at least one key, or leave it out"),
        ("api_keys = [3]", None),
        ("api_keys = ['']", None),
        ("api_keys = ['a b']", None),
        (
            "api_keys = ['${NOT_SET}']",
            "api_keys[0]: the variable NOT_SET is not set; set it, or write ${NOT_SET:-default}",
        ),
        ("api_keys = [{ value = '${NOT_SET}' }]", None),
        ("api_keys = [{ name = 'a' }]", 'api_keys[0].value: is missing; write { value = "${VARIABLE}" }'),
        ("api_keys = [{ value = 'a', wight = 1 }]", "api_keys[0].wight: unknown key; did you mean 'weight'?"),
        (
            "api_keys = [{ value = 'a', weight = -1 }]",
            "api_keys[0].weight: must be a number of at least 0, not -1",
        ),
        ("api_keys = [{ key = 'a', value = 'b' }]", "api_keys[0].key: unknown key; did you mean 'value'?"),
        (
            "api_keys = [{ value = 'a', name = 'key-2' }, 'b']",
            "api_keys[1].name: 'key-2' is also the name of llm.providers[0].api_keys[0]; give each its own name",
        ),
        ("api_keys = ['a']\napi_key = 'b'", "api_keys: is given beside api_key; keep one of the two"),
        ("enabled = 'no'", "enabled: must be true or false, not the text 'no'"),
        ("name = ''", "name: is empty; give a value or leave the key out"),
        ("name = 3", "name: must be text, not 3; put it in quotes"),
        (
            "name = 'a/b'",
            "name: 'a/b' holds a \"/\", which divides provider and model in requests; choose another",
        ),
        ("embedding_model = 'a\\u0007'", None),
        ("temprature = 1", "temprature: unknown key; did you mean 'temperature'?"),
        ("model = 'x'", "model: unknown key; did you mean 'text_model'?"),
        ("api_base = 'x'", "api_base: unknown key; did you mean 'base_url'?"),
        (
            "base_url = 'api.x.com'",
            "base_url: begins with no http:// or https://; write it like https://api.example.com/v1",
        ),
        (
            "base_url = 'ftp://x'",
            "base_url: must begin with http:// or https://; write it like https://api.example.com/v1",
        ),
        ("base_url = 'https://'", "base_url: names no valid host; write it like https://api.example.com/v1"),
        ("base_url = 'https://h:99999'", None),
        ("base_url = 'https://[::1'", None),
        (
            "base_url = 'https://a b'",
            "base_url: names no valid host; write it like https://api.example.com/v1",
        ),
        (
            "base_url = 'https://u:p@h'",
            "base_url: holds a user or password; use api_key or headers for credentials",
        ),
        ("base_url = 'https://h/?q=1'", None),
        ('headers = { A = "x\\r\\ny" }', None),
        ("headers = { 'A:' = 'x' }", 'headers."A:": is no valid name of a header'),
        ("headers = { A = 'é' }", None),
        ("headers = 'A'", "headers: must be a table, not the text 'A'; write { X-Name = \"value\" }"),
        ("models = { fast = 3 }", "models.fast: must be text, not 3; put it in quotes"),
        ("extra = [1]", "extra: must be a table, not a list; write { field = value }"),
        ("timeouts = { connect = 0 }", "timeouts.connect: must be a number above 0, not 0"),
        ("timeouts = { conect = 1 }", "timeouts.conect: unknown key; did you mean 'connect'?"),
        ("transport = 'fasst'", "transport: unknown transport 'fasst'; did you mean 'fast'?"),
        ("prices = { m = { output = 1 } }", None),
        ("prices = { m = { input = -1 } }", "prices.m.input: must be a number of at least 0, not -1"),
        ("prices = { m = 3 }", None),
    ],
)
def test_one_faulty_key_of_a_provider_is_one_complaint(line: str, complaint: str | None) -> None:
    line = line.replace("'", '"') if "\\" in line else line
    found = errors_of(ONE + line)
    assert len(found) == 1
    key = line.partition(" ")[0]
    assert found[0].startswith(f"llm.providers[0].{key}")
    if complaint is not None:
        assert found[0] == f"llm.providers[0].{complaint}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            ONE + "[llm.fallback]\nstrategy = 'prioritty'",
            "llm.fallback.strategy: unknown strategy 'prioritty'; did you mean 'priority'?",
        ),
        *(
            (f"{ONE}[llm.fallback]\n{line}", f"llm.fallback.{complaint}")
            for line, complaint in (
                (
                    "mid_stream = 'resume'",
                    "mid_stream: unknown way to go on 'resume'; known are fail, restart",
                ),
                ("patience = -1", "patience: must be a number of at least 0, not -1"),
                ("reasoning_patience = true", "reasoning_patience: must be a number, not true"),
                ("hedge_after = 0", "hedge_after: must be a number above 0, not 0"),
                (
                    "hedge_after = 'p99'",
                    "hedge_after: must be a number of seconds or \"p95\", not the text 'p99'",
                ),
                ("hedge = 1", "hedge: unknown key; did you mean 'hedge_after'?"),
                ("max_queue = -1", "max_queue: must be at least 0, not -1"),
                ("pace = 1", "pace: must be true or false, not 1"),
                ("sticky = 'yes'", "sticky: must be true or false"),
                ("generate_by_stream = 0", "generate_by_stream: must be true or false"),
                ("allow_policy_fallback = 0", "allow_policy_fallback: must be true or false"),
                (
                    "breaker = 3",
                    "breaker: must be a table, not 3; write [llm.fallback.breaker] above its keys",
                ),
                ("breaker.failures = 0", "breaker.failures: must be at least 1, not 0"),
                (
                    "breaker.failure_rate = 1.5",
                    "breaker.failure_rate: must be a number above 0 and at most 1, not 1.5",
                ),
                (
                    "breaker.failure_rate = 0",
                    "breaker.failure_rate: must be a number above 0 and at most 1, not 0",
                ),
                ("breaker.probes = 0", "breaker.probes: must be at least 1, not 0"),
                (
                    "breaker.open_time = 200",
                    "breaker.max_open_time: must be at least open_time (200), not 120",
                ),
                ("breaker.cooldown = 1", "breaker.cooldown: unknown key; did you mean 'open_time'?"),
                (
                    "budget = []",
                    "budget: must be a table, not a list; write [llm.fallback.budget] above its keys",
                ),
                ("budget.capacity = -1", "budget.capacity: must be a number of at least 0, not -1"),
                ("budget.cost = 0", "budget.cost: must be a number above 0, not 0"),
                ("budget.per_sucess = 1", "budget.per_sucess: unknown key; did you mean 'per_success'?"),
            )
        ),
        (ONE + "[llm.fallback]\nmax_retries = -1", "llm.fallback.max_retries: must be at least 0, not -1"),
        (
            ONE + "[llm.fallback]\nretries = 1",
            "llm.fallback.retries: unknown key; did you mean 'max_retries'?",
        ),
        (
            ONE + "[llm.fallback]\nfallbacks = 'x'",
            "llm.fallback.fallbacks: must be a list of texts, not the text 'x'",
        ),
        (
            ONE + "[llm.fallback]\nfallbacks = ['opena']",
            "llm.fallback.fallbacks[0]: there is no provider named 'opena'; did you mean 'openai'?",
        ),
        (
            ONE + "[llm]\nfallback = 3",
            "llm.fallback: must be a table, not 3; write [llm.fallback] above its keys",
        ),
        (ONE + "[llm.timeouts]\ntotal = -1", "llm.timeouts.total: must be a number above 0, not -1"),
        (ONE + "[llmm]\n", "llmm: unknown key; did you mean 'llm'?"),
        (ONE + "[fallback]\n", "fallback: unknown key; did you mean 'llm.fallback'?"),
        (
            ONE + "[tool.x]\n",
            "tool: unknown key; llmcore reads the tables llm and gateway and nothing beside them",
        ),
        (
            ONE + ONE,
            "llm.providers[1].name: 'openai' is also the name of llm.providers[0]; give each its own name",
        ),
        (ONE + "enabled = false", "llm.providers: no provider is enabled; set enabled = true on one"),
        (
            "[[llm.providers]]\nprovider = 'opnai'",
            "llm.providers[0].provider: unknown provider 'opnai'; did you mean 'openai'?",
        ),
        (
            "[[llm.providers]]\nprovider = 'zzz'",
            "llm.providers[0].provider: unknown provider 'zzz'; known are anthropic,",
        ),
        ("[[llm.providers]]\nname = 'a'", "llm.providers[0].provider: is missing;"),
        (
            "[llm.providers]\nname = 'a'",
            "llm.providers: must be a list of tables; write [[llm.providers]] with two brackets",
        ),
        ("[llm]\nproviders = ['openai']", "llm.providers[0]: must be a table, not the text 'openai'"),
        ("[llm]\nproviders = 'openai'", "llm.providers: must be a list of tables, not the text 'openai'"),
        ("[llm]\n", "llm.providers: there are no providers;"),
        ("", "llm: is missing;"),
        ("llm = 3", "llm: must be a table, not 3; write [llm]"),
        ("[llm\n", "config, line 1, column 5: broken TOML: expected ']'"),
        ("a = 1\na = 2", "config, line 2, column 6: broken TOML: cannot overwrite"),
        ("x = " + "[" * 5000, "config: broken TOML: nested too deeply"),
        ("x = " + "1" * 5000, "config: broken TOML: a number is too long"),
        ("nowhere.toml", "nowhere.toml: there is no such file;"),
        ("/", "/: cannot be read:"),
    ],
)
def test_one_faulty_file_is_one_complaint(text: str, complaint: str) -> None:
    found = errors_of(text)
    assert len(found) == 1, found
    assert found[0].startswith(complaint)


def test_a_file_in_another_encoding_is_a_complaint(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes("# é\n".encode("latin-1"))
    assert errors_of(file) == (f"{file}: is not UTF-8 (byte 2); save it as UTF-8",)


def test_broken_toml_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[llm]\nx = = 1\n", encoding="utf-8")
    assert errors_of(file) == (f"{file}, line 2, column 5: broken TOML: invalid value",)


def test_every_complaint_comes_at_once() -> None:
    text = """
    top = 1
    [llm]
    transport = "carrier pigeon"
    [[llm.providers]]
    name = "a"
    provider = "opnai"
    api_key = "${NOT_SET}"
    max_tokens = "1"
    [[llm.providers]]
    name = "a"
    provider = "gemini"
    temperature = 9
    [llm.fallback]
    strategy = "cheapest"
    fallbacks = ["b"]
    [llm.fallback.breaker]
    failures = 0
    [llm.fallback.budget]
    tokens = 1
    """
    with pytest.raises(ConfigurationError) as caught:
        good(text)
    paths = [complaint.partition(": ")[0] for complaint in caught.value.complaints]
    assert sorted(paths) == [
        "llm.fallback.breaker.failures",
        "llm.fallback.budget.tokens",
        "llm.fallback.fallbacks[0]",
        "llm.fallback.strategy",
        "llm.providers[0].api_key",
        "llm.providers[0].max_tokens",
        "llm.providers[0].provider",
        "llm.providers[1].name",
        "llm.providers[1].temperature",
        "llm.transport",
        "top",
    ]


@pytest.mark.parametrize(
    ("written", "environ", "complaint"),
    [
        ("${A}", {}, "the variable A is not set; set it, or write ${A:-default}"),
        ("${A}", {"A": ""}, "the variable A is empty; set it, or write ${A:-default}"),
        ("${1A}", {}, "'${1A}' is no variable; write ${NAME}, ${NAME:-default}, or $${ for the characters"),
        (
            "${A",
            {"A": "x"},
            "'${' is no variable; write ${NAME}, ${NAME:-default}, or $${ for the characters",
        ),
        ("${}", {}, "'${}' is no variable; write ${NAME}, ${NAME:-default}, or $${ for the characters"),
    ],
)
def test_a_faulty_variable_is_a_complaint(written: str, environ: dict[str, str], complaint: str) -> None:
    assert errors_of(ONE + f'api_key = "{written}"', **environ) == (f"llm.providers[0].api_key: {complaint}",)


def test_a_disabled_providers_variables_may_be_missing() -> None:
    config = good(
        ONE
        + '[[llm.providers]]\nname="off"\nenabled=false\nprovider="openai"\napi_key="${A}"\nextra={k="${B}"}'
    )
    assert config.providers[1].api_key is None
    assert config.providers[1].extra == {}


# ------------------------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "{}"',
        'api_key = "{} "',
        'api_key = ["{}"]',
        'max_tokens = "{}"',
        'transport = "{}"',
        'base_url = "https://u:{}@h"',
        'headers = {{ A = "{}\\n" }}',
        'headers = {{ Authorization = "Bearer {}" }}',
        'models = {{ a = ["{}"] }}',
        'name = "{}"',
        'name = "a/{}"',
    ],
)
@pytest.mark.parametrize("by_variable", [True, False])
def test_no_report_shows_a_secret(line: str, by_variable: bool) -> None:
    text = ONE + line.format("${CANARY}" if by_variable else CANARY)
    report = look(text, CANARY=CANARY)
    if line.startswith("name"):
        return  # a name is shown by design
    assert CANARY not in "\n".join((*report.errors, *report.warnings))
    assert CANARY not in repr(report)


def test_keys_are_read_with_their_names_and_weights() -> None:
    text = ONE + """api_keys = ["${A}", { value = "x${B}", name = "team", weight = 2 }, { value = "${C}" }]"""
    keys = good(text, A="a", B="b", C="c").providers[0].api_keys
    assert keys == (KeyConfig("key-1", "a"), KeyConfig("team", "xb", 2.0), KeyConfig("key-3", "c"))
    assert "xb" not in repr(keys)


def test_a_disabled_providers_missing_keys_keep_their_places() -> None:
    text = (
        f"{ONE}[[llm.providers]]\nname = 'off'\nprovider = 'openai'\nenabled = false\n"
        "api_keys = ['${A}', '${B}', { value = '${C}', weight = 2.0 }]\n"
    )
    assert look(text, B="b").warnings == ()
    config = good(text, B="b")
    keys = (KeyConfig("key-1", ""), KeyConfig("key-2", "b"), KeyConfig("key-3", "", 2.0))
    assert config.providers[1].api_keys == keys
    assert good(dump(config), B="b") == config
    assert all(f"${{{name}}}" in dump(config) for name in "ABC")


def test_every_strategy_and_way_to_go_on_is_known() -> None:
    for strategy in STRATEGIES:
        assert good(f"{ONE}[llm.fallback]\nstrategy = '{strategy}'").fallback.strategy == strategy
    for way in MID_STREAM:
        assert good(f"{ONE}[llm.fallback]\nmid_stream = '{way}'").fallback.mid_stream == way
    assert good(ONE + "[llm.fallback]\nhedge_after = 'p95'").fallback.hedge_after == "p95"
    assert good(ONE + "[llm.fallback]\nhedge_after = 2").fallback.hedge_after == 2.0


def test_a_key_in_clear_is_a_warning() -> None:
    report = look(ONE + f'api_key = "{CANARY}"')
    assert report.config is not None
    assert [warning.partition(":")[0] for warning in report.warnings] == ["llm.providers[0].api_key"]


# ----------------------------------------------------------------------------------------------- warnings


TWO = ONE + '[[llm.providers]]\nname = "b"\nprovider = "gemini"\ntext_model = "m"\n'


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (TWO, []),
        (TWO + "[llm.fallback]\nenabled = false", ["llm.providers[1]"]),
        (TWO + "priority = 1\n[llm.fallback]\nenabled = false", ["llm.providers[0]"]),
        (TWO + "[llm.fallback]\nstrategy = 'retry'", ["llm.providers[1]"]),
        (TWO + "[llm.fallback]\nstrategy = 'retry'\nfallbacks = ['b']", []),
        (TWO + "[llm.fallback]\nfallbacks = ['b']", ["llm.fallback.fallbacks"]),
        (
            TWO + "enabled = false\n[llm.fallback]\nstrategy = 'retry'\nfallbacks = ['b']",
            ["llm.fallback.fallbacks[0]"],
        ),
        ("[[llm.providers]]\nprovider = 'openai'", ["llm.providers[0]"]),
        (ONE + "base_url = 'http://far.example'", ["llm.providers[0].base_url"]),
        (ONE + "base_url = 'http://localhost:1'", []),
        (ONE + "api_keys = ['${A}', '${B}']", []),
        (ONE + "api_keys = ['${A}', '${B}', '${A}']", ["llm.providers[0].api_keys[2]"]),
        (ONE + "api_keys = ['in-the-clear', '${B}']", ["llm.providers[0].api_keys[0]"]),
        (ONE + "weight = 2", ["llm.providers[0].weight"]),
        (ONE + "weight = 2\n[llm.fallback]\nstrategy = 'weighted'", []),
        (ONE + "weight = 0\n[llm.fallback]\nstrategy = 'weighted'", ["llm.providers"]),
        (TWO + "weight = 0\n[llm.fallback]\nstrategy = 'weighted'", []),
        (TWO + "enabled = false\nweight = 2", []),
        (ONE + "[llm.fallback.budget]\ncapacity = 5", ["llm.fallback.budget.cost"]),
        (ONE + "[llm.fallback.budget]\ncapacity = 5\nenabled = false", []),
    ],
)
def test_what_is_merely_odd_is_a_warning(text: str, paths: list[str]) -> None:
    report = look(text, A="first-key", B="second-key")
    assert report.errors == ()
    assert "-key" not in "".join(report.warnings)
    assert [warning.partition(": ")[0] for warning in report.warnings] == paths


# --------------------------------------------------------------------------------------------- round trip

_words = st.text(string.ascii_letters + string.digits + " .-_:é\"\\'$", min_size=1, max_size=12).filter(
    lambda s: s.strip() != ""
)
_names = st.text(string.ascii_letters, min_size=1, max_size=8)
_rates = st.decimals(0, 1000, places=3)
_seconds = st.floats(0.001, 1e6)
_values = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**60), 2**60),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8"), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), inner, max_size=3),
    ),
    max_leaves=6,
)
_timeouts = st.builds(Timeouts, connect=_seconds, pool=_seconds, first_token=_seconds, total=_seconds)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_providers = st.builds(
    ProviderConfig,
    name=st.just("p"),
    provider=st.sampled_from(KINDS),
    base_url=_maybe(st.just("https://host.example/v1")),
    text_model=_maybe(_words),
    max_tokens=_maybe(st.integers(1, 10**9)),
    temperature=_maybe(st.floats(0, 2)),
    priority=st.integers(-(10**6), 10**6),
    weight=st.floats(0, 1e6),
    max_in_flight=_maybe(st.integers(1, 1000)),
    rpm=_maybe(st.integers(1, 10**9)),
    tpm=_maybe(st.integers(1, 10**9)),
    context_window=_maybe(st.integers(1, 10**9)),
    max_output_tokens=_maybe(st.integers(1, 10**9)),
    capabilities=_maybe(st.sets(st.sampled_from(CAPABILITIES))),
    models=st.dictionaries(_words, _words, max_size=3),
    headers=st.dictionaries(
        st.just("X-Team"), st.text(string.ascii_letters + ' \t${}\\"', max_size=8), max_size=1
    ),
    extra=st.dictionaries(_names.filter(lambda name: len(name) < 3), _values, max_size=3),
    timeouts=_maybe(_timeouts),
    transport=_maybe(st.sampled_from(("auto", "httpx", "fast"))),
    prices=st.dictionaries(
        _words, st.builds(Price, input=_rates, output=_maybe(_rates), cached_input=_maybe(_rates)), max_size=2
    ),
)
_fallbacks = st.builds(
    FallbackConfig,
    enabled=st.booleans(),
    strategy=st.sampled_from(STRATEGIES),
    max_retries=_maybe(st.integers(0, 9)),
    retry_delay_ms=_maybe(st.integers(0, 9999)),
    max_retry_after=st.floats(0, 1e6),
    retry_after_send=st.booleans(),
    fallbacks=st.sampled_from(((), ("p0",))),
    mid_stream=st.sampled_from(MID_STREAM),
    patience=st.floats(0, 1e6),
    reasoning_patience=st.floats(0, 1e6),
    hedge_after=st.sampled_from((None, "p95")) | _seconds,
    generate_by_stream=st.booleans(),
    allow_policy_fallback=st.booleans(),
    pace=st.booleans(),
    max_queue=st.integers(0, 10**6),
    sticky=st.booleans(),
    breaker=st.builds(
        BreakerConfig,
        enabled=st.booleans(),
        failures=st.integers(1, 99),
        window=_seconds,
        min_calls=st.integers(1, 99),
        failure_rate=st.floats(0.001, 1),
        open_time=st.floats(0.001, 120),
        probes=st.integers(1, 9),
        successes=st.integers(1, 9),
        block_sole=st.booleans(),
    ),
    budget=st.builds(
        BudgetConfig,
        enabled=st.booleans(),
        capacity=st.floats(0, 1e6),
        cost=_seconds,
        per_success=st.floats(0, 99),
        per_second=st.floats(0, 99),
    ),
)


@given(
    providers=st.lists(_providers, min_size=1, max_size=3),
    fallback=_fallbacks,
    timeouts=_timeouts,
    prices=st.sampled_from(("auto", "own", "off")),
)
def test_what_is_dumped_loads_as_the_same(
    providers: list[ProviderConfig], fallback: FallbackConfig, timeouts: Timeouts, prices: Any
) -> None:
    named = tuple(evolve(provider, name=f"p{index}") for index, provider in enumerate(providers))
    config = LlmConfig(named, fallback, timeouts, "httpx", prices)
    assert good(dump(config)) == config


def test_dump_writes_variables_and_never_their_values() -> None:
    text = (
        ONE
        + 'api_keys = ["${A}", { value = "${B}", name = "${T}-key", weight = 0.5 }]\nbase_url = "https://${H}/v1"\nheaders = { Authorization = "Bearer ${A}" }\n'
        'extra = { nested = { api_token = "${A}" } }\n'
        '[[llm.providers]]\nname = "off"\nprovider = "openai"\nenabled = false\napi_key = "${NOT_SET}"\n'
    )
    environ = {"A": CANARY, "B": CANARY + "2", "H": "h.example", "T": "team"}
    config = good(text, **environ)
    written = dump(config)
    assert CANARY not in written
    assert "h.example" not in written
    assert '"${NOT_SET}"' in written
    assert 'api_keys = ["${A}", { value = "${B}", name = "${T}-key", weight = 0.5 }]' in written
    assert good(written, **environ) == config
    assert dump(good(written, **environ)) == written


def test_dump_refuses_a_secret_in_clear() -> None:
    provider = ProviderConfig(
        "p",
        "openai",
        api_key=CANARY,
        api_keys=[KeyConfig("key-1", CANARY), KeyConfig("b", CANARY)],
        headers={"X-Api-Key": "s3cret"},
        extra={"a": [CANARY], "when": None},
    )
    with pytest.raises(ConfigurationError) as caught:
        dump(LlmConfig((provider,)))
    assert CANARY not in str(caught.value)
    assert [complaint.partition(": ")[0] for complaint in caught.value.complaints] == [
        "llm.providers[0].api_key",
        "llm.providers[0].api_keys[0].value",
        "llm.providers[0].api_keys[1].value",
        "llm.providers[0].headers.X-Api-Key",
        "llm.providers[0].extra.a[0]",
        "llm.providers[0].extra.when",
    ]


def test_keys_that_changed_places_are_not_written_as_each_others_variable() -> None:
    config = good(ONE + 'api_keys = ["${A}", "${B}"]', A="first-key", B="second-key")
    turned = evolve(config.providers[0], api_keys=config.providers[0].api_keys[::-1])
    with pytest.raises(ConfigurationError):
        dump(evolve(config, providers=(turned,)))


def test_a_key_changed_since_it_was_loaded_is_not_written_as_its_old_variable() -> None:
    config = good(ONE + 'api_key = "${A}"', A="first-key")
    changed = evolve(config, providers=(evolve(config.providers[0], api_key="second-key"),))
    with pytest.raises(ConfigurationError):
        dump(changed)


# ------------------------------------------------------------------------------------------- odd sources

_keys = st.sampled_from(
    ("llm", "providers", "fallback", "timeouts", "name", "provider", "api_key", "prices", "x", "")
)
_odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(("${A}", "${B}", "openai")),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)


@given(_odd)
def test_no_tree_crashes_the_reader(tree: Any) -> None:
    for source in ({"llm": tree}, {"llm": {"providers": [tree]}}, {"llm": {"providers": tree}}):
        report = look(source, A="x")
        assert (report.config is None) == bool(report.errors)


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    assert errors_of(text + "\n")


def test_a_tree_that_holds_itself_is_a_complaint() -> None:
    loop: dict[str, Any] = {"provider": "openai"}
    loop["extra"] = loop
    assert any("nested too deeply" in complaint for complaint in errors_of({"llm": {"providers": [loop]}}))
