"""Users, and how they sign in: one-time tokens and browser sessions, both known by their keyed hash only."""

from __future__ import annotations

from unicodedata import normalize

from attrs import frozen
from sqlalchemy import RowMapping, delete, func, insert, or_, select, update

from llmcore.gateway.access.principal import Role
from llmcore.gateway.store.connection import AsyncConnection
from llmcore.gateway.store.cursor import page
from llmcore.gateway.store.engine import Database
from llmcore.gateway.store.errors import StoreConflict, StoreInvalid
from llmcore.gateway.store.records import UNSET, Page, Unset, User, WebSession, new_id
from llmcore.gateway.store.tables import connection_tests, llm_settings, one_time_tokens, users, web_sessions

LONGEST_NAME = 128


def name_key(name: str) -> str:
    """What two names must not share: NFKC and case folded, without outer blanks."""
    return normalize("NFKC", normalize("NFKC", name).casefold()).strip()


def user_of(row: RowMapping) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        disabled=row["disabled"],
        created_at=row["created_at"],
        password_hash=row["password_hash"],
    )


class Users:
    """Accounts. There is always an enabled admin, once there is one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, role: Role, *, now: float, password_hash: str | None = None) -> User:
        """A new user. Raises StoreConflict where the name is taken, StoreInvalid where it is empty or too long."""
        user = User(new_id(), name.strip(), role, False, now, password_hash)
        key = name_key(name)
        if not key or len(user.name) > LONGEST_NAME:
            raise StoreInvalid(f"a user's name has 1 to {LONGEST_NAME} characters")
        values = {
            "id": user.id,
            "name": user.name,
            "name_key": key,
            "role": role,
            "password_hash": password_hash,
            "disabled": False,
            "created_at": now,
        }
        async with self._database.write() as connection:
            taken = select(users.c.id).where(users.c.name_key == key)
            if (await connection.execute(taken)).first() is not None:
                msg = "there is a user of that name already"
                raise StoreConflict(msg)
            await connection.execute(insert(users).values(values))
        return user

    async def get(self, user_id: str) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(users).where(users.c.id == user_id))).mappings().first()
        return None if row is None else user_of(row)

    async def by_name(self, name: str) -> User | None:
        """The user whose name reads like that."""
        query = select(users).where(users.c.name_key == name_key(name))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else user_of(row)

    async def list(self, *, limit: int = 100, cursor: str | None = None) -> Page[User]:
        """All users, newest first; for admins."""
        async with self._database.read() as connection:
            order = (users.c.created_at, users.c.id)
            return await page(connection, "users", select(users), order, user_of, limit=limit, cursor=cursor)

    async def count(self) -> int:
        async with self._database.read() as connection:
            found: int = (await connection.execute(select(func.count()).select_from(users))).scalar_one()
        return found

    async def update(
        self,
        user_id: str,
        *,
        role: Role | Unset = UNSET,
        disabled: bool | Unset = UNSET,
        password_hash: str | Unset | None = UNSET,
    ) -> User | None:
        """Change what is given; None where there is no such user. Raises StoreConflict for the last enabled admin.

        A new password, or being disabled, ends the user's browser sessions and unused one-time tokens.
        """
        said = {"role": role, "disabled": disabled, "password_hash": password_hash}
        values = {name: value for name, value in said.items() if value is not UNSET}
        async with self._database.write() as connection:
            if role == "user" or disabled is True:
                await _refuse_last_admin(connection, user_id)
            if values:
                await connection.execute(update(users).where(users.c.id == user_id).values(values))
            if disabled is True or password_hash is not UNSET:
                await connection.execute(delete(web_sessions).where(web_sessions.c.user_id == user_id))
                await connection.execute(delete(one_time_tokens).where(one_time_tokens.c.user_id == user_id))
            row = (await connection.execute(select(users).where(users.c.id == user_id))).mappings().first()
        return None if row is None else user_of(row)

    async def delete(self, user_id: str) -> bool:
        """Remove a user with keys, sessions, settings; what they used stays counted. Raises StoreConflict for the last admin."""
        async with self._database.write() as connection:
            await _refuse_last_admin(connection, user_id)
            for table in (llm_settings, connection_tests):
                await connection.execute(
                    delete(table).where(table.c.user_id == user_id, table.c.user_id != "")
                )
            done = await connection.execute(delete(users).where(users.c.id == user_id))
        return done.rowcount > 0


async def _refuse_last_admin(connection: AsyncConnection, user_id: str) -> None:
    admins = select(users.c.id).where(users.c.role == "admin", users.c.disabled.is_(False))
    found = (await connection.execute(admins.order_by(users.c.id).with_for_update())).scalars().all()
    if found == [user_id]:
        msg = "this is the last administrator; make another one first"
        raise StoreConflict(msg)


class OneTimeTokens:
    """Tokens that sign a user in once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_id: str, digest: str, *, now: float, expires_at: float) -> None:
        """Keep the hash of a new token. Raises StoreConflict where there is no such user."""
        values = {"hash": digest, "user_id": user_id, "created_at": now, "expires_at": expires_at}
        async with self._database.write() as connection:
            await connection.execute(insert(one_time_tokens).values(values))

    async def use(self, digest: str, *, now: float) -> User | None:
        """Whose token that was, from now on used; None where it is unknown, used, expired, or its user disabled."""
        table = one_time_tokens
        enabled = select(users.c.id).where(users.c.disabled.is_(False))
        claim = (
            update(table)
            .where(table.c.hash == digest, table.c.used_at.is_(None), table.c.expires_at > now)
            .where(table.c.user_id.in_(enabled))
            .values(used_at=now)
            .returning(table.c.user_id)
        )
        async with self._database.write() as connection:
            user_id = (await connection.execute(claim)).scalar()
            query = select(users).where(users.c.id == user_id)
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else user_of(row)

    async def purge(self, *, now: float) -> int:
        """Forget what is used or expired; how many."""
        table = one_time_tokens
        gone = delete(table).where(or_(table.c.used_at.is_not(None), table.c.expires_at <= now))
        async with self._database.write() as connection:
            return (await connection.execute(gone)).rowcount


@frozen
class SignedIn:
    """A browser's session with whose it is."""

    session: WebSession
    user: User


class WebSessions:
    """Browsers that are signed in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, user_id: str, id_hash: str, *, csrf: str, now: float, expires_at: float
    ) -> WebSession:
        """A new session. csrf: a nonce. Raises StoreConflict where there is no such user."""
        session = WebSession(id_hash, user_id, now, now, expires_at, csrf)
        values = {
            "id_hash": id_hash,
            "user_id": user_id,
            "created_at": now,
            "last_seen_at": now,
            "expires_at": expires_at,
            "csrf": csrf,
        }
        async with self._database.write() as connection:
            await connection.execute(insert(web_sessions).values(values))
        return session

    async def get(self, id_hash: str, *, now: float) -> SignedIn | None:
        """The session of that hash with its user; None where it is unknown, over, or its user disabled."""
        ours = web_sessions
        columns = [column.label(f"session_{column.name}") for column in ours.c]
        query = (
            select(users, *columns)
            .join(ours, ours.c.user_id == users.c.id)
            .where(ours.c.id_hash == id_hash, ours.c.expires_at > now, users.c.disabled.is_(False))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            return None
        session = WebSession(**{column.name: row[f"session_{column.name}"] for column in ours.c})
        return SignedIn(session, user_of(row))

    async def touch(self, user_id: str, id_hash: str, *, now: float, expires_at: float | None = None) -> None:
        """It was seen just now; with `expires_at`, it lasts until then."""
        table = web_sessions
        values = {"last_seen_at": now} | ({} if expires_at is None else {"expires_at": expires_at})
        mine = update(table).where(table.c.id_hash == id_hash, table.c.user_id == user_id)
        async with self._database.write() as connection:
            await connection.execute(mine.values(values))

    async def end(self, user_id: str, id_hash: str) -> bool:
        """Sign out."""
        table = web_sessions
        mine = delete(table).where(table.c.id_hash == id_hash, table.c.user_id == user_id)
        async with self._database.write() as connection:
            return (await connection.execute(mine)).rowcount > 0

    async def end_all(self, user_id: str) -> int:
        """Sign out everywhere; how many sessions that were."""
        async with self._database.write() as connection:
            mine = delete(web_sessions).where(web_sessions.c.user_id == user_id)
            return (await connection.execute(mine)).rowcount

    async def purge(self, *, now: float) -> int:
        """Forget what is over; how many."""
        async with self._database.write() as connection:
            gone = delete(web_sessions).where(web_sessions.c.expires_at <= now)
            return (await connection.execute(gone)).rowcount
