"""Where master keys come from: a file (0600, ours), the environment, or the keyring of the operating system.

A keyring is one or more keys of 32 random bytes in Base64url; the first seals, all open. Ids follow from the keys. None
of the places falls back to another one, and a key is made only where the caller says that there is nothing to open yet.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from llmcore.gateway.vault.derive import KEY_BYTES, key_id_of
from llmcore.gateway.vault.errors import MasterKeyMissing, MasterKeyUnsafe

VARIABLE, VARIABLES = "LLMCORE_MASTER_KEY", "LLMCORE_MASTER_KEYS"
LARGEST = 65536
"""Bytes of a key file that are read."""

SERVICE, ENTRY = "llmcore", "gateway master keys"

_HEADER = "# llmcore master keys: the first seals, all open. Without this file stored keys cannot be read. Back it up.\n"


class MasterKeys(Protocol):
    """A place that keeps master keys."""

    @property
    def where(self) -> str:
        """Its name, as an operator knows it."""
        ...

    def load(self) -> tuple[bytes, ...]:
        """All keys, the sealing one first; () where there are none. Raises MasterKeyUnsafe."""
        ...

    def create(self, key: bytes, /) -> None:
        """Keep the first key. Raises FileExistsError where somebody was faster, MasterKeyMissing where it cannot be."""
        ...

    def replace(self, expected: tuple[bytes, ...], keys: tuple[bytes, ...], /) -> None:
        """Keep `keys` instead of `expected`. Raises MasterKeyUnsafe where there is something else by now."""
        ...


class FileKeys:
    """A file that only its owner can read. Replaced as a whole, so that no half-written key is ever there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        return f"the file {self._path}"

    def load(self) -> tuple[bytes, ...]:
        try:
            # not blocking, as it may be no file at all
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise MasterKeyUnsafe(f"{self.where} cannot be read: {error.strerror}") from None
        try:
            self._check(os.fstat(handle))
            text = os.read(handle, LARGEST).decode("utf-8", "replace")
        finally:
            os.close(handle)
        lines = (line.strip() for line in text.splitlines())
        keys = read_keys((line for line in lines if line and not line.startswith("#")), self.where)
        if not keys:
            raise MasterKeyUnsafe(f"{self.where} holds no key; restore it from a backup")
        return keys

    def create(self, key: bytes, /) -> None:
        make_private_directory(self._path.parent)
        draft = self._draft((key,))
        try:
            os.link(draft, self._path)  # unlike a rename, this fails where somebody was faster
        finally:
            draft.unlink()
        _sync_directory(self._path.parent)

    def replace(self, expected: tuple[bytes, ...], keys: tuple[bytes, ...], /) -> None:
        with _locked(self._path.with_name(f".{self._path.name}.lock")):
            if self.load() != expected:
                raise MasterKeyUnsafe(f"{self.where} was changed by somebody else meanwhile; try again")
            self._draft(keys).replace(self._path)
            _sync_directory(self._path.parent)

    def _draft(self, keys: tuple[bytes, ...]) -> Path:
        """A file beside ours with those keys, safely on the disk."""
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(_HEADER + "".join(f"{write_key(key)}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise MasterKeyUnsafe(f"{self.where} is no ordinary file")
        if os.name == "posix" and found.st_mode & 0o077:
            raise MasterKeyUnsafe(f"{self.where} can be read by others; run `chmod 600` on it")
        if os.name == "posix" and found.st_uid not in {os.geteuid(), 0}:
            raise MasterKeyUnsafe(f"{self.where} belongs to another user; run `chown` on it")


class EnvironmentKeys:
    """LLMCORE_MASTER_KEY (one), or LLMCORE_MASTER_KEYS (several, comma-separated); never written to."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @property
    def where(self) -> str:
        return f"the environment variable {VARIABLE}"

    def load(self) -> tuple[bytes, ...]:
        said = [self._environ.get(name, "") for name in (VARIABLE, VARIABLES)]
        texts = (text.strip() for text in ",".join(said).split(","))
        return tuple(dict.fromkeys(read_keys(filter(None, texts), self.where)))

    def create(self, key: bytes, /) -> None:
        raise MasterKeyMissing(f"{self.where} is empty; set it")

    def replace(self, expected: tuple[bytes, ...], keys: tuple[bytes, ...], /) -> None:
        msg = f"{self.where} is set by the operator: put the new key first in {VARIABLES}, and restart"
        raise MasterKeyMissing(msg)


class Backend(Protocol):
    """What is used of the `keyring` library."""

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...


class SystemKeys:
    """The keyring of the operating system, by the optional library `keyring`. Backends that keep plain text are refused."""

    def __init__(self, backend: Backend | None = None) -> None:
        self._backend = backend or _system_backend()

    @property
    def where(self) -> str:
        return "the keyring of the operating system"

    def load(self) -> tuple[bytes, ...]:
        text = self._backend.get_password(SERVICE, ENTRY) or ""
        return read_keys(filter(None, text.split(",")), self.where)

    def create(self, key: bytes, /) -> None:
        if self.load():
            raise FileExistsError(self.where)
        self._save((key,))

    def replace(self, expected: tuple[bytes, ...], keys: tuple[bytes, ...], /) -> None:
        if self.load() != expected:
            raise MasterKeyUnsafe(f"{self.where} was changed by somebody else meanwhile; try again")
        self._save(keys)

    def _save(self, keys: tuple[bytes, ...]) -> None:
        self._backend.set_password(SERVICE, ENTRY, ",".join(map(write_key, keys)))


def _system_backend() -> Backend:
    try:
        import keyring
    except ModuleNotFoundError:
        msg = "the library `keyring` is not installed; install it, or keep the master key in a file"
        raise MasterKeyMissing(msg) from None
    backend = keyring.get_keyring()
    module = type(backend).__module__
    if getattr(backend, "priority", 0) < 1 or module.startswith(("keyring.backends.null", "keyrings.alt")):
        msg = "this machine has no safe keyring; keep the master key in a file"
        raise MasterKeyMissing(msg)
    found: Backend = backend
    return found


def choose(path: Path, environ: Mapping[str, str], *, system: bool = False) -> MasterKeys:
    """The environment where it names a key, else the system's keyring where asked for, else the file."""
    if environ.get(VARIABLE) or environ.get(VARIABLES):
        return EnvironmentKeys(environ)
    return SystemKeys() if system else FileKeys(path)


def new_key(entropy: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    return entropy(KEY_BYTES)


def write_key(key: bytes) -> str:
    return urlsafe_b64encode(key).decode().rstrip("=")


def read_keys(texts: Iterable[str], where: str) -> tuple[bytes, ...]:
    """Keys as people hold them. Raises MasterKeyUnsafe without repeating any."""
    keys = []
    for number, text in enumerate(texts, 1):
        try:
            key = urlsafe_b64decode(text.rstrip("=").encode("ascii") + b"=" * (-len(text.rstrip("=")) % 4))
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES or write_key(key) != text.rstrip("="):
            raise MasterKeyUnsafe(f"key {number} of {where} is not {KEY_BYTES} bytes in Base64url") from None
        keys.append(key)
    ids = [key_id_of(key) for key in keys]
    if len(set(ids)) != len(ids):
        raise MasterKeyUnsafe(f"{where} holds the same key twice")
    return tuple(keys)


def make_private_directory(path: Path) -> None:
    """Make `path` and what is missing above it, 0700 whatever the umask is. What exists stays as it is."""
    if path.is_dir():
        return
    make_private_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among the processes of this machine, where the system has such locks."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync_directory(path: Path) -> None:
    """Make the new name itself durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
