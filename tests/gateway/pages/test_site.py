"""The pages: who sees which, under which headers, and that each is sound HTML without anything inline or from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from llmcore.gateway.api.frame import cookie_name
from llmcore.gateway.config import GatewayConfig
from llmcore.gateway.store import StoreUnavailable
from tests.gateway.pages.reading import Element, inline_code, read
from tests.gateway.pages.site import ADMIN_PAGES, PAGES, site, used
from tests.gateway.standin import question

pytestmark = pytest.mark.anyio

ALL = (*PAGES, *ADMIN_PAGES)
VARIANTS = (*ALL, "/settings?scope=system", "/usage?scope=all&days=7", "/keys?scope=all")
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
}


def check_headers(reply: httpx.Response) -> None:
    assert set(reply.headers["content-security-policy"].split("; ")) == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert reply.headers["x-request-id"]
    assert "access-control-allow-origin" not in reply.headers
    assert "server" not in reply.headers


@pytest.mark.parametrize("path", VARIANTS)
async def test_t08_every_page_is_whole_and_has_nothing_inline(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as on, on.browser("admin") as http:
        await used(on, "admin", provider="a", model="m")
        reply = await http.get(path)
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["cache-control"] == "no-store"
        check_headers(reply)
        page = read(reply.text)
        assert inline_code(page) == []
        assert "http://" not in reply.text.replace("http://127.0.0.1", "")
        check_form(page, http.headers["x-csrf-token"])
        check_accessible(page)


def check_form(page: Element, csrf: str) -> None:
    """Every form that could change something bears the token of the session (T7)."""
    changing = [form for form in page.all("form") if form.attributes.get("method") != "get"]
    assert changing
    for form in changing:
        hidden = [one for one in form.all("input") if one.attributes.get("name") == "csrf"]
        assert [one.attributes["value"] for one in hidden] == [csrf], form.attributes


def check_accessible(page: Element) -> None:
    """Names for every control, one top heading, a language, ids that are there once and are there where they are meant."""
    everything = page.all()
    ids = [one.attributes["id"] for one in everything if "id" in one.attributes]
    assert len(ids) == len(set(ids)), sorted(ids)
    assert [one.attributes["lang"] for one in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    labels = {one.attributes.get("for") for one in page.all("label")}
    wrapped = {id(inner) for label in page.all("label") for inner in label.all()}
    for one in controls(page):
        named = one.attributes.get("id") in labels or "aria-label" in one.attributes or id(one) in wrapped
        assert named, one.attributes
    for one in page.all("button"):
        assert one.words.strip() or one.attributes.get("aria-label"), one.attributes
    for one in everything:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
            for target in one.attributes.get(name, "").split():
                assert target in ids, f"<{one.tag} {name}={target}>"


def controls(page: Element) -> Iterator[Element]:
    for tag in ("input", "select", "textarea"):
        yield from (one for one in page.all(tag) if one.attributes.get("type") != "hidden")


@pytest.mark.parametrize("path", ALL)
async def test_a_stranger_is_shown_to_the_door(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        reply = await http.get(path)
        assert (reply.status_code, reply.headers["location"]) == (303, f"/sign-in?next={path}")
        check_headers(reply)
        assert reply.text == ""


async def test_the_start_leads_on(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        async with on.http(None) as http:
            assert (await http.get("/")).headers["location"] == "/sign-in"
        async with on.browser() as http:
            assert (await http.get("/")).headers["location"] == "/playground"


async def test_the_way_in_is_open_and_whole(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        reply = await http.get("/sign-in")
        assert reply.status_code == 200
        check_headers(reply)
        page = read(reply.text)
        assert inline_code(page) == []
        check_accessible(page)
        forms = {form.attributes["id"] for form in page.all("form")}
        assert forms == {"by-password", "by-token"}


async def test_a_key_is_no_cookie(tmp_path: Path) -> None:
    """Pages are for browsers: a bearer key opens the API, not them."""
    async with site(tmp_path) as on, on.http("admin") as http:
        assert (await http.get("/users")).status_code == 303


@pytest.mark.parametrize("path", ADMIN_PAGES)
async def test_t06_pages_of_administrators_are_not_for_users(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as on, on.browser("alice") as http:
        reply = await http.get(path)
        assert reply.status_code == 403
        check_headers(reply)
        assert "administrators" in reply.text
        shown = await http.get("/settings")
        assert path not in {one.attributes.get("href") for one in read(shown.text).all("a")}


@pytest.mark.parametrize("path", ["/usage?scope=all", "/keys?scope=all", "/settings?scope=system"])
async def test_t14_a_wider_scope_is_ignored_for_users(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as on, on.browser("alice") as http:
        await used(on, "bob", provider="of-bob", model="m")
        reply = await http.get(path)
        assert reply.status_code == 200
        assert "of-bob" not in reply.text
        assert on.people["bob"].user.id not in reply.text


async def test_t14_one_user_sees_nothing_of_another(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser("bob") as bob, on.browser("alice") as alice:
        await bob.post("/api/keys", json={"name": "key-of-bob"})
        await bob.put("/api/settings/llm", json={"provider": "a", "model": "model-of-bob"})
        await used(on, "bob", provider="provider-of-bob", model="m")
        for path in PAGES:
            text = (await alice.get(path)).text
            assert "-of-bob" not in text
            assert on.people["bob"].user.id not in text


async def test_t04_t05_a_stored_key_is_never_on_a_page_again(tmp_path: Path) -> None:
    canary = "sk-canary-91c2d0aa7777"
    async with site(tmp_path) as on, on.browser("admin") as http:
        body = {"provider": "openai", "model": "gpt-4o", "api_key": canary}
        assert (await http.put("/api/settings/llm", json=body)).status_code == 200
        for path in VARIANTS:
            text = (await http.get(path)).text
            assert canary not in text
            assert canary[3:12] not in text
        assert "7777" in (await http.get("/settings")).text


async def test_a_new_key_is_on_no_page(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser("admin") as http:
        made = (await http.post("/api/keys", json={"name": "mine"})).json()
        text = (await http.get("/keys")).text
        assert "mine" in text
        assert made["token"] not in text
        assert made["token"].rpartition("-")[2] not in text


async def test_what_is_not_there(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        reply = await http.get("/no-such-page")
        assert reply.status_code == 404
        check_headers(reply)
        assert reply.headers["x-request-id"] in reply.text
        assert read(reply.text).all("h1")[0].words == "Not found"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/settings", "/", "/sign-in", "/static/x/app.css", "/nowhere"])
async def test_t07_pages_can_only_be_read(tmp_path: Path, method: str, path: str) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        reply = await http.request(method, path)
        assert reply.status_code == 405
        check_headers(reply)


async def test_head_has_the_length_and_no_body(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        whole, head = await http.get("/keys"), await http.head("/keys")
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == str(len(whole.content))


async def test_files_are_kept_for_good_under_a_path_that_changes_with_them(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        page = read((await http.get("/sign-in")).text)
        paths = [one.attributes["href"] for one in page.all("link")]
        paths += [one.attributes["src"] for one in page.all("script")]
        assert len(paths) == 4
        kinds = {
            "css": "text/css; charset=utf-8",
            "js": "text/javascript; charset=utf-8",
            "svg": "image/svg+xml",
        }
        for path in paths:
            reply = await http.get(path)
            assert reply.status_code == 200
            assert reply.headers["content-type"] == kinds[path.rpartition(".")[2]]
            assert "immutable" in reply.headers["cache-control"]
            check_headers(reply)


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/..%2fsite.py",
        "/static/x/app.css",
        "/static/%2e%2e/%2e%2e/config.py",
        "/static//etc/passwd",
        "/static/app.css\x00",
    ],
)
async def test_t18_nothing_else_is_served_as_a_file(tmp_path: Path, path: str) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        reply = await http.get(path.replace("\x00", "%00"))
        assert reply.status_code == 404
        assert b"root:" not in reply.content
        assert b"class Site" not in reply.content


async def test_t23_a_foreign_host_gets_no_page(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        assert (await http.get("/sign-in", headers={"host": "evil.test"})).status_code == 421


async def test_over_tls_browsers_are_told_to_stay_there(tmp_path: Path) -> None:
    config = GatewayConfig(public_url="https://llm.example.org", key_cache=0.0)
    async with site(tmp_path, config=config) as on, on.http(None) as http:
        reply = await http.get("https://llm.example.org/sign-in")
        assert reply.headers["strict-transport-security"] == "max-age=31536000"
        old = {"cookie": f"{cookie_name(False)}=llmcs-x"}
        plain = await http.get("https://llm.example.org/settings", headers=old)
        assert plain.status_code == 303


async def test_without_tls_they_are_not(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.http(None) as http:
        assert "strict-transport-security" not in (await http.get("/sign-in")).headers


async def test_a_session_that_ended_leads_to_the_door(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        assert (await http.get("/keys")).status_code == 200
        await on.store.web_sessions.end_all(on.people["alice"].user.id)
        assert (await http.get("/keys")).status_code == 303


async def test_a_database_that_is_away_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as on, on.browser() as http:

        async def away(*_: object, **__: object) -> None:
            raise StoreUnavailable("postgresql://user:secret@db is away")

        monkeypatch.setattr(on.store.keys, "list", away)
        reply = await http.get("/keys")
        assert reply.status_code == 503
        assert "secret" not in reply.text
        assert "database" in reply.text
        monkeypatch.setattr(on.store.web_sessions, "get", away)
        reply = await http.get("/settings")
        assert reply.status_code == 503
        check_headers(reply)


async def test_t19_a_fault_of_ours_shows_its_number_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as on, on.browser() as http:

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("inner secret")

        monkeypatch.setattr(on.services.browsers, "find", broken)
        reply = await http.get("/settings")
        assert reply.status_code == 500
        check_headers(reply)
        assert "inner secret" not in reply.text
        assert "Traceback" not in reply.text
        assert reply.headers["x-request-id"] in reply.text
        assert "gateway.fault" in on.log.getvalue()


async def test_empty_pages_say_what_to_do(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser("bob") as http:
        await on.store.keys.revoke(on.people["bob"].user.id, on.people["bob"].key_id, now=1.0)
        assert "Nothing said yet" in (await http.get("/playground")).text
        assert "Not tested yet" in (await http.get("/settings")).text
        assert "No usage in these 30 days" in (await http.get("/usage")).text
        assert "revoked" in (await http.get("/keys")).text


async def test_the_figures_of_usage(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        await used(on, "alice", provider="a", model="m")
        await used(on, "alice", provider="a", model="m", outcome="RateLimitError")
        text = (await http.get("/usage")).text
        words = read(text).words
        for figure in ("$0.0112", "2,468", "50.0 %", "812 ms", "1,200"):
            assert figure in words, figure
        csv = [
            one.attributes["href"] for one in read(text).all("a") if "csv" in one.attributes.get("href", "")
        ]
        assert len(csv) == 2
        for path in csv:
            assert (await http.get(path)).headers["content-type"] == "text/csv; charset=utf-8"


async def test_pages_are_not_changed_by_odd_queries(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser("admin") as http:
        for path in PAGES:
            assert (await http.get(f"{path}?{'days=7&' * 100}")).status_code == 200
            reply = await http.get(f"{path}?days=%00&scope=%ff&days=9999999999&x[]=%3Cscript%3E&next=//evil")
            assert reply.status_code == 200
            assert "evil" not in reply.text


async def test_a_price_that_nobody_knows_is_not_nought(tmp_path: Path) -> None:
    async with site(tmp_path) as on, on.browser() as http:
        assert (await http.post("/api/playground", json=question(stream=True))).status_code == 200
        words = ""
        for _ in range(100):
            words = read((await http.get("/usage")).text).words
            if "without a known price" in words:
                break
            await anyio.sleep(0.05)
        assert "unknown" in words
        assert "$0.00" not in words
