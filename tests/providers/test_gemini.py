"""Where Gemini is, and which version of it the configuration may choose."""

from __future__ import annotations

import pytest

from llmcore.config import ProviderConfig
from llmcore.errors import ConfigurationError
from llmcore.providers.gemini import PLACE
from llmcore.types import File, GenerationRequest, Message


def path(config: ProviderConfig) -> str:
    asked = GenerationRequest("hi", model="m")
    return PLACE.wire_for(config).encode_generate(asked, stream=False).http.path


def test_the_place() -> None:
    assert (PLACE.kind, PLACE.aliases) == ("gemini", ("google",))
    assert PLACE.base_url == "https://generativelanguage.googleapis.com/v1beta"
    assert PLACE.key_env == ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    assert (PLACE.auth_header, PLACE.auth_prefix) == ("x-goog-api-key", "")


def test_the_default_version_is_that_of_the_place() -> None:
    config = ProviderConfig(name="g", provider="gemini")
    assert PLACE.wire_for(config) is PLACE.wire
    assert path(config) == "/models/m:generateContent"


def test_another_version_leads_to_googles_own_address() -> None:
    config = ProviderConfig(name="g", provider="gemini", api_version="v1")
    assert path(config) == "https://generativelanguage.googleapis.com/v1/models/m:generateContent"
    assert PLACE.base_url is not None
    assert PLACE.trusts(path(config), PLACE.base_url)


def test_files_follow_the_version() -> None:
    wire = PLACE.wire_for(ProviderConfig(name="g", provider="gemini", api_version="v1alpha"))
    asked = GenerationRequest(Message.user("see", File(file_id="files/a")), model="m")
    assert b"/v1alpha/files/a" in (wire.encode_generate(asked, stream=False).http.body or b"")


@pytest.mark.parametrize(
    "config",
    [
        ProviderConfig(name="g", provider="gemini", api_version="v1", base_url="http://localhost/v1"),
        ProviderConfig(name="g", provider="gemini", api_version="../v1"),
        ProviderConfig(name="g", provider="gemini", api_version="2024-01-01"),
    ],
)
def test_versions_that_cannot_be(config: ProviderConfig) -> None:
    with pytest.raises(ConfigurationError, match=r"g\.api_version"):
        PLACE.wire_for(config)
