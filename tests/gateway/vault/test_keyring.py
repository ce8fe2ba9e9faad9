"""Where master keys are kept: private, whole or not there, and never made anew where something needs the old one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import move

import pytest
from sqlalchemy import text

from llmcore.gateway.store import SYSTEM, SettingsChange, Store, open_store, sqlite_url
from llmcore.gateway.vault import (
    EnvironmentKeys,
    FileKeys,
    MasterKeyMissing,
    MasterKeyUnsafe,
    SealBroken,
    SystemKeys,
    api_key,
    choose,
    open_vault,
    save_settings,
)
from llmcore.gateway.vault.keyring import new_key, read_keys, write_key
from llmcore.secret import Secret
from tests.gateway.processes import Writer

pytestmark = pytest.mark.anyio

ONE, TWO = b"1" * 32, b"2" * 32


@pytest.fixture
def wide_umask() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.usefixtures("wide_umask")
def test_t13_the_file_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "master.key"
    keys = FileKeys(path)
    assert keys.load() == ()
    keys.create(ONE)
    keys.replace((ONE,), (TWO, ONE))
    assert keys.load() == (TWO, ONE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    left = {entry.name for entry in path.parent.iterdir()}
    assert left == {"master.key", ".master.key.lock"}
    assert b"1111" not in (path.parent / ".master.key.lock").read_bytes()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o601])
def test_t13_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    FileKeys(path).create(ONE)
    path.chmod(mode)
    with pytest.raises(MasterKeyUnsafe, match="chmod 600"):
        FileKeys(path).load()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_t13_a_file_of_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "master.key"
    FileKeys(path).create(ONE)
    os.chown(path, 12345, -1)
    with pytest.raises(MasterKeyUnsafe, match="another user"):
        FileKeys(path).load()


def test_t13_what_is_no_file_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(MasterKeyUnsafe, match="no ordinary file"):
            FileKeys(tmp_path / name).load()


def test_t13_behind_a_link_the_file_itself_is_checked(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    FileKeys(tmp_path / "real").create(ONE)
    assert FileKeys(tmp_path / "link").load() == (ONE,)
    (tmp_path / "real").chmod(0o644)
    with pytest.raises(MasterKeyUnsafe):
        FileKeys(tmp_path / "link").load()


@pytest.mark.parametrize(
    "content",
    ["", "# nothing\n", "short\n", write_key(ONE)[:-1], f"{write_key(ONE)}\n{write_key(ONE)}\n", "\xff"],
)
def test_t13_a_damaged_file_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "master.key"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(MasterKeyUnsafe) as caught:
        FileKeys(path).load()
    assert write_key(ONE)[:8] not in str(caught.value)
    assert path.read_text() == content


def test_of_several_first_starts_one_key_comes(tmp_path: Path) -> None:
    path = tmp_path / "master.key"

    def create(number: int) -> bool:
        try:
            FileKeys(path).create(bytes([number]) * 32)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert FileKeys(path).load() == (bytes([won.index(True)]) * 32,)
    with pytest.raises(MasterKeyUnsafe, match="meanwhile"):
        FileKeys(path).replace((b"x" * 32,), (TWO,))


def test_keys_in_the_environment() -> None:
    one, two = write_key(ONE), write_key(TWO)
    assert EnvironmentKeys({"LLMCORE_MASTER_KEY": one}).load() == (ONE,)
    assert EnvironmentKeys({"LLMCORE_MASTER_KEYS": f"{two}, {one}="}).load() == (TWO, ONE)
    assert EnvironmentKeys({}).load() == ()
    for action in (lambda keys: keys.create(ONE), lambda keys: keys.replace((ONE,), (TWO, ONE))):
        with pytest.raises(MasterKeyMissing):
            action(EnvironmentKeys({}))
    with pytest.raises(MasterKeyUnsafe) as caught:
        EnvironmentKeys({"LLMCORE_MASTER_KEY": "sk-canary-not-a-key"}).load()
    assert "canary" not in str(caught.value)


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    assert isinstance(choose(tmp_path, {"LLMCORE_MASTER_KEYS": "x"}), EnvironmentKeys)
    assert isinstance(choose(tmp_path, {}), FileKeys)


class Chain:
    """A keyring of an operating system, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str, /) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self.kept[service, username] = password


def test_keys_in_the_keyring_of_the_system() -> None:
    keys = SystemKeys(Chain())
    assert keys.load() == ()
    keys.create(ONE)
    with pytest.raises(FileExistsError):
        keys.create(TWO)
    keys.replace((ONE,), (TWO, ONE))
    assert keys.load() == (TWO, ONE)
    with pytest.raises(MasterKeyUnsafe):
        keys.replace((ONE,), (ONE,))


def test_t13_no_safe_keyring_is_an_error_and_never_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    library = ModuleType("keyring")
    unsafe = [
        type("Keyring", (Chain,), {"priority": 0, "__module__": "keyring.backends.fail"}),
        type("PlaintextKeyring", (Chain,), {"priority": 5, "__module__": "keyrings.alt.file"}),
        type("Keyring", (Chain,), {"priority": 5, "__module__": "keyring.backends.null"}),
    ]
    monkeypatch.setitem(sys.modules, "keyring", library)
    for kind in unsafe:
        monkeypatch.setattr(library, "get_keyring", kind, raising=False)
        with pytest.raises(MasterKeyMissing, match="no safe keyring"):
            SystemKeys()
    safe = type("Keyring", (Chain,), {"priority": 5, "__module__": "keyring.backends.SecretService"})
    monkeypatch.setattr(library, "get_keyring", safe)
    assert SystemKeys().load() == ()
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MasterKeyMissing, match="not installed"):
        SystemKeys()


def test_keys_are_read_as_they_are_written() -> None:
    keys = tuple(new_key() for _ in range(20))
    assert read_keys(map(write_key, keys), "x") == keys
    assert len({len(write_key(key)) for key in keys}) == 1


# opening


async def test_the_first_start_makes_a_key_and_the_next_uses_it(store: Store, key_file: Path) -> None:
    first = await open_vault(store, FileKeys(key_file))
    content = FileKeys(key_file).load()
    again = await open_vault(store, FileKeys(key_file))
    assert again.key_ids == first.key_ids
    made = first.tokens.new_virtual_key()
    assert again.tokens.matches("virtual key", made.token.reveal(), made.digest)
    assert FileKeys(key_file).load() == content


async def test_t13_a_missing_master_key_refuses_to_start_and_none_is_made(
    store: Store, key_file: Path
) -> None:
    vault = await open_vault(store, FileKeys(key_file))
    await save_settings(store, vault, SYSTEM, SettingsChange(provider="p"), api_key=Secret("sk-x"), now=1.0)
    away = key_file.with_name("away")
    move(key_file, away)
    for source in (FileKeys(key_file), EnvironmentKeys({}), SystemKeys(Chain())):
        with pytest.raises(MasterKeyMissing, match="put it back"):
            await open_vault(store, source)
        assert source.load() == ()
    assert FileKeys(key_file).load() == ()
    with pytest.raises(MasterKeyMissing, match="put it back"):
        await open_vault(store, EnvironmentKeys({"LLMCORE_MASTER_KEY": write_key(ONE)}))
    move(away, key_file)
    vault = await open_vault(store, FileKeys(key_file))
    settings = await store.settings.get(SYSTEM)
    assert settings is not None
    found = api_key(vault, settings)
    assert found is not None
    assert found.reveal() == "sk-x"


async def test_t13_an_altered_pepper_refuses_to_start(store: Store, key_file: Path) -> None:
    await open_vault(store, FileKeys(key_file))
    async with store.database.write() as connection:
        await connection.execute(
            text("""UPDATE meta SET value = replace(value, '"v1.', '"v1.AAAA') WHERE name = 'pepper'""")
        )
    with pytest.raises(SealBroken):
        await open_vault(store, FileKeys(key_file))


def test_processes_that_start_first_together_agree_on_one_key(tmp_path: Path) -> None:
    url, key_file = sqlite_url(tmp_path / "data" / "db"), tmp_path / "data" / "master.key"
    writers = [Writer(url, key_file, "first", tmp_path / f"said{number}") for number in range(3)]
    assert [writer.end() for writer in writers] == [0, 0, 0], writers[0].errors()
    ids = {line for writer in writers for line in writer.lines()}
    assert len(ids) == 1


async def test_one_that_was_killed_while_it_began_can_begin_again(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / str(number)
        url, key_file = sqlite_url(folder / "db"), folder / "master.key"
        writer = Writer(url, key_file, "save", tmp_path / f"said{number}")
        while not any(folder.glob(".master.key.*")) and not key_file.exists():
            assert writer._process.poll() is None, writer.errors()
        writer.kill()
        async with open_store(url) as store:
            vault = await open_vault(store, FileKeys(key_file))
            assert len(vault.key_ids) == 1
