"""T8, T9: names and texts from outside are texts on a page, whatever they hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmcore.errors import ServerError
from llmcore.gateway.store import ConnectionTest
from llmcore.testing import Fail, ScriptedProvider
from tests.gateway.pages.reading import Element, inline_code, read
from tests.gateway.pages.site import ADMIN_PAGES, PAGES, site, used

pytestmark = pytest.mark.anyio

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}",
    "{0.__class__} {{ config }} {% raw %}",
    "\x1b[31mred\x1b[0m",
    "safe\u202egpj.exe",
    "\"' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "</textarea></select></td></dialog><form action=//evil.test>",
    "a\u2066b\u200bc\u0007d",
    "&lt;b&gt; &amp;",
)
HIDDEN = "\x07\x1b\u202e\u2066\u200b"
PAGES_OF_ADMINS = (*PAGES, *ADMIN_PAGES, "/usage?scope=all", "/keys?scope=all")


def shape(page: Element) -> dict[str, int]:
    """How many of each element there are."""
    counts: dict[str, int] = {}
    for one in page.all():
        counts[one.tag] = counts.get(one.tag, 0) + 1
    return {tag: count for tag, count in counts.items() if tag != "#text"}


def shown(name: str) -> str:
    for char in HIDDEN:
        name = name.replace(char, "\ufffd")
    return name


async def pages_with(path: Path, name: str) -> dict[str, str]:
    """Every page of a gateway in which everything that can have a name has that one."""
    provider = ScriptedProvider(name, [Fail(ServerError(name))])
    async with site(path, provider) as on, on.browser("admin") as http:
        admin = on.people["admin"].user.id
        await used(on, "admin", provider=name, model=name, outcome=name)
        await on.store.users.create(name, "user", now=1.0)
        made = on.vault.tokens.new_virtual_key()
        await on.store.keys.create(
            admin, public_id=made.public_id, digest=made.digest, name=name, now=1.0, models=frozenset({name})
        )
        await on.store.connection_tests.record(admin, ConnectionTest(admin, name, 1.0, False, 2.0, name))
        found = {}
        for path_ in PAGES_OF_ADMINS:
            reply = await http.get(path_)
            assert reply.status_code == 200, (path_, reply.text[-400:])
            found[path_] = reply.text
        return found


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def harmless(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    texts = await pages_with(tmp_path_factory.mktemp("harmless"), "plain")
    return {path: shape(read(text)) for path, text in texts.items()}


@pytest.fixture(scope="module", params=HOSTILE)
async def hostile(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, str]]:
    name = str(request.param)
    return name, await pages_with(tmp_path_factory.mktemp("hostile"), name)


async def test_t08_a_hostile_name_adds_no_element_and_no_handler(
    hostile: tuple[str, dict[str, str]], harmless: dict[str, dict[str, int]]
) -> None:
    for path, text in hostile[1].items():
        page = read(text)
        assert shape(page) == harmless[path], path
        assert inline_code(page) == [], path
        assert not set(text) & set(HIDDEN), path


async def test_t08_t09_it_is_shown_as_it_is(hostile: tuple[str, dict[str, str]]) -> None:
    name, found = hostile
    for path in ("/status", "/providers", "/usage"):
        words = read(found[path]).words
        assert shown(name) in words or name.encode("unicode_escape").decode() in words, path
    assert "49" not in read(found["/providers"]).words
