"""Which models a key may use."""

from __future__ import annotations

import pytest

from llmcore.gateway.access.principal import Principal

NAMES = frozenset(("openai", "spare"))


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        (None, "m", True),
        (None, None, True),
        (("m",), "m", True),
        (("m",), "openai/m", True),
        (("m",), "evil/m", False),  # a vendor's own name that only ends like it
        (("evil/m",), "evil/m", True),
        (("evil/m",), "openai/evil/m", True),
        (("evil/m",), "m", False),
        (("m",), "M", False),
        (("m",), "openai/x/m", False),
        (("m",), "", False),
        (("m",), "openai/", False),
        (("m",), None, False),
        ((), "m", False),
    ],
)
def test_the_models_of_a_key_are_exact_names(
    models: tuple[str, ...] | None, model: str | None, may: bool
) -> None:
    listed = None if models is None else frozenset(models)
    one = Principal("u", "alice", "user", "key", models=listed)
    assert one.may_use(model, NAMES) is may
