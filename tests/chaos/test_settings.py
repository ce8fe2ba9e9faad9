"""The settings under test: a user's shape without the user's secrets, and every time scaled."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcore.chaos import settings
from llmcore.chaos.nouns import Break
from llmcore.chaos.settings import (
    FAST,
    FULL,
    adopted,
    default_config,
    load,
    placed,
    same_window,
    scaled,
    settings_for,
)
from llmcore.config import (
    BreakerConfig,
    BudgetConfig,
    FallbackConfig,
    KeyConfig,
    LlmConfig,
    ProviderConfig,
    Timeouts,
)
from llmcore.errors import ConfigurationError

CANARY = "sk-canary-0123456789"
USERS = LlmConfig(
    (
        ProviderConfig(
            "one",
            "cerebras",
            api_key=CANARY,
            base_url="https://example.com/v1",
            organization="org-canary",
            headers={"x-token": CANARY},
            extra={"user": CANARY},
            priority=3,
            weight=0.5,
            max_in_flight=4,
            rpm=60,
            context_window=8000,
        ),
        ProviderConfig("two", "ollama", api_keys=(KeyConfig("k1", CANARY, 2.0), KeyConfig("k2", CANARY))),
        ProviderConfig("off", "openai", enabled=False),
    ),
    FallbackConfig(strategy="weighted", mid_stream="continue"),
)


def test_the_shape_stays_and_what_is_secret_goes() -> None:
    kept = adopted(USERS)
    assert [entry.name for entry in kept.providers] == ["one", "two"]
    assert [entry.provider for entry in kept.providers] == ["cerebras", "ollama"]
    one, two = kept.providers
    assert (one.priority, one.weight, one.max_in_flight, one.rpm, one.context_window) == (3, 0.5, 4, 60, 8000)
    assert [(key.name, key.weight) for key in two.api_keys] == [("k1", 2.0), ("k2", 1.0)]
    assert kept.fallback == USERS.fallback
    shown = repr(kept) + "".join(key.value.reveal() for key in two.api_keys)
    assert CANARY not in shown
    assert not one.headers
    assert not one.extra
    assert (one.organization, one.base_url, one.api_key) == (None, None, None)


def test_a_dialect_that_the_simulator_does_not_speak_becomes_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PLACE_OF_KIND", {"ollama": "ollama"})
    assert [entry.provider for entry in adopted(USERS).providers] == ["openai", "ollama"]


def test_nothing_enabled_is_a_complaint() -> None:
    with pytest.raises(ConfigurationError, match="none is enabled"):
        adopted(LlmConfig((ProviderConfig("off", "openai", enabled=False),)))


def test_every_provider_gets_an_address_and_a_key_of_its_own() -> None:
    kept = placed(adopted(USERS), {"one": "http://a", "two": "http://b"}, {"one": "m", "two": "n"}, "key")
    one, two = kept.providers
    assert (one.base_url, two.base_url, one.text_model, two.text_model) == ("http://a", "http://b", "m", "n")
    assert one.api_key is not None
    assert two.api_key is None
    values = {one.api_key.reveal(), *(key.value.reveal() for key in two.api_keys)}
    assert len(values) == 3
    assert all(value.startswith("key-") for value in values)


def test_all_times_are_scaled_by_one_factor_and_nothing_else() -> None:
    fallback = FallbackConfig(
        retry_delay_ms=1000,
        patience=10.0,
        hedge_after=2.0,
        max_retries=3,
        breaker=BreakerConfig(open_time=20.0, failures=3),
        budget=BudgetConfig(per_second=2.0),
    )
    made = scaled(LlmConfig(USERS.providers, fallback, Timeouts(connect=5.0, first_token=60.0)), 0.1)
    quick = made.fallback
    assert (quick.retry_delay_ms, quick.max_delay_ms, quick.max_retries) == (100, 2000, 3)
    assert (quick.patience, quick.hedge_after, quick.prefer_failover_after) == pytest.approx((1.0, 0.2, 0.3))
    assert (quick.breaker.open_time, quick.breaker.window, quick.breaker.failures) == pytest.approx((2, 3, 3))
    assert quick.budget.per_second == pytest.approx(20.0)
    assert quick.budget.capacity == 100.0
    assert (made.timeouts.connect, made.timeouts.first_token, made.timeouts.total) == pytest.approx(
        (0.5, 6, 60)
    )
    assert made.providers[0].rpm == 600


def test_a_first_token_limit_that_was_left_out_is_scaled_too() -> None:
    made = scaled(adopted(USERS), 0.1)
    limits = [entry.timeouts.first_token for entry in made.providers if entry.timeouts is not None]
    assert limits == pytest.approx([6.0, 30.0])


def test_the_published_timings_change_nothing() -> None:
    assert settings_for(default_config(), FULL, "k").config == adopted(default_config())
    assert settings_for(default_config(), FAST, "k").config != adopted(default_config())


def test_windows_that_are_all_the_same() -> None:
    assert len({entry.context_window for entry in same_window(adopted(USERS)).providers}) == 1


def test_a_configuration_is_read_although_its_keys_are_not_set(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[[llm.providers]]\nname = "a"\nprovider = "openai"\napi_key = "${NO_SUCH_KEY_HERE}"\n'
        'text_model = "${NO_SUCH_MODEL:-m}"\n'
    )
    assert load(path).providers[0].text_model == "m"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "nothing.toml")
    path.write_text("[llm]\ntransport = 3\n")
    with pytest.raises(ConfigurationError):
        load(path)


def test_the_example_configuration_can_be_tried() -> None:
    example = Path(__file__).resolve().parents[2] / "config.toml"
    assert adopted(load(example)).providers


def test_a_break_is_quiet_by_default() -> None:
    assert Break().rules == ()
    assert Break().address == "sim"
