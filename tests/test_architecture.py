"""The architecture as a table: who may import whom. An offending line fails the build."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "llmcore"

STDLIB = frozenset(sys.stdlib_module_names)
HTTP = {"httpx", "httpcore", "pyreqwest", "aiohttp", "httptools", "certifi"}
IMPURE = {"asyncio", "anyio", "time", "random", "os", "socket", "ssl", "threading", "subprocess", "selectors"}

# room -> (rooms of ours that it may import, libraries that it may import, modules of the standard library that it may not)
GROUND = {"types", "errors", "secret"}
TABLE: dict[str, tuple[set[str], set[str], set[str]]] = {
    "types": ({"schema", "types"}, {"attrs", "cattrs"}, IMPURE),  # schema and cattrs inside functions only
    "schema": (set(), {"msgspec"}, IMPURE),
    "errors": ({"types"}, {"attrs"}, IMPURE),  # types for annotations only
    "secret": (set(), set(), IMPURE),
    "_version": (set(), set(), IMPURE),
    "pricelist": (set(), {"attrs", "msgspec", "genai_prices"}, set()),
    "prices": ({"types", "pricelist"}, {"attrs"}, set()),
    "config": ({"prices", "secret"}, {"attrs"}, IMPURE),
    "alarms": (set(), set(), set()),
    "clock": ({"alarms"}, {"anyio"}, set()),
    "group": (set(), {"anyio"}, set()),
    "provider": ({"types", "errors"}, {"attrs"}, IMPURE),
    "check": ({"types", "errors"}, {"attrs"}, IMPURE),
    "meter": ({"types", "errors"}, set(), IMPURE),
    "pace": ({"pace", "types"}, {"attrs"}, IMPURE),
    "loader": (
        {"config", "gateway", "prices", "errors", "secret"},  # of the gateway its config alone
        {"attrs", "cattrs", "tomli"},
        {"asyncio", "time", "random"},
    ),
    "wire": ({"types", "errors", "provider", "wire"}, {"msgspec", "attrs"}, IMPURE),
    "transport": (
        {"_version", "errors", "config", "clock", "transport"},
        HTTP | {"anyio", "attrs", "sniffio"},
        set(),
    ),
    "manager": (
        {"check", "provider", "meter", "pace", "types", "errors", "config", "clock", "group", "manager"},
        {"anyio", "attrs", "structlog"},
        {"asyncio", "time", "os"},
    ),
    "providers": (
        GROUND
        | {"_version", "check", "clock", "config", "meter", "provider", "providers", "transport", "wire"},
        {"anyio", "attrs", "msgspec"},
        {"asyncio", "time", "random", "os"},
    ),
    "gateway": (
        GROUND | {"_version", "check", "clock", "config", "gateway", "group", "provider"},
        {"alembic", "anyio", "argon2", "asyncpg", "attrs", "cryptography", "jinja2", "keyring", "msgspec"}
        | {"opentelemetry", "prometheus_client", "redis", "sqlalchemy", "structlog"},
        set(),
    ),
    "testing": (
        GROUND | {"check", "config", "meter", "provider", "transport"},
        {"anyio", "attrs", "trio"},
        set(),
    ),
    "sim": (
        set(),
        set(),
        set(),
    ),  # filled below: it stands alone, so that it mirrors the wires and cannot share their mistakes
    "simulate": (
        GROUND - {"secret"}
        | {
            "check",
            "clock",
            "config",
            "loader",
            "manager",
            "meter",
            "prices",
            "provider",
            "simulate",
            "testing",
        },
        {"anyio", "attrs", "matplotlib"},  # matplotlib inside functions only
        {"asyncio", "time"},
    ),
    "build": (
        GROUND | {"clock", "config", "loader", "manager", "prices", "provider", "providers", "transport"},
        {"anyio", "attrs", "httpx"},  # httpx for annotations only
        set(),
    ),
    "sync": (GROUND | {"build", "provider", "transport"}, {"anyio", "httpx"}, set()),
    "serving": (
        GROUND
        | {"build", "clock", "config", "gateway", "loader", "manager", "pricelist", "prices"}
        | {"provider", "providers", "serving", "transport"},
        {"anyio", "attrs", "httptools", "uvicorn", "uvloop"},
        set(),
    ),
}
TABLE["sim"] = ({"sim", "errors"}, {"attrs", "cattrs", "tomli", "msgspec"}, set())
CLI = (
    GROUND
    | {
        "_version",
        "build",
        "chaos",
        "cli",
        "config",
        "gateway",
        "loader",
        "manager",
        "meter",
        "prices",
        "provider",
        "providers",
        "serving",
        "sim",
        "simulate",
        "sync",
        "clock",
    },
    {"anyio", "attrs", "cyclopts", "msgspec", "rich"},
    set(),
)
TABLE["cli"] = CLI
TABLE["chaos"] = (
    GROUND | {"build", "chaos", "config", "loader", "manager", "provider", "providers", "sim", "transport"},
    {"anyio", "attrs"},
    set(),
)
ONLY_FOR_TYPES = {"build": {"httpx"}, "sync": {"httpx"}, "errors": {"types"}}

FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(tree: ast.Module) -> list[tuple[ast.stmt, str, bool]]:
    """Every imported module, with its statement and whether it is imported for type checkers only."""
    found: list[tuple[ast.stmt, str, bool]] = []

    def walk(node: ast.AST, *, typing_only: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                walk(child, typing_only=True)
                continue
            if isinstance(child, ast.Import):
                found.extend((child, alias.name, typing_only) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                names = (
                    [f"{child.module}.{alias.name}" for alias in child.names]
                    if child.module == "llmcore"
                    else [child.module]
                )
                found.extend((child, name, typing_only) for name in names)
            walk(child, typing_only=typing_only)

    walk(tree, typing_only=False)
    return found


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path != ROOT / "__init__.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    room = room_of(path)
    assert room in TABLE, f"{path}: a room that the table does not know"
    ours, libraries, banned = TABLE[room]
    for statement, name, typing_only in imports(ast.parse(path.read_text())):
        top, *rest = name.split(".")
        where = f"{path}:{statement.lineno}: {ast.unparse(statement)}"
        if top == "llmcore":
            target = rest[0]
            assert target in ours or target == room, f"{where}\n  {room} may not import {target}"
            only_types = target in ONLY_FOR_TYPES.get(room, set())
            assert typing_only or not only_types, f"{where}\n  {room} imports {target} for type checkers only"
        elif top in STDLIB:
            assert top not in banned, f"{where}\n  {room} may not use {top}"
        else:
            assert top in libraries, f"{where}\n  {room} may not use the library {top}"
            assert typing_only or top not in ONLY_FOR_TYPES.get(room, set()), (
                f"{where}\n  {top} here for type checkers only"
            )


def test_http_libraries_are_imported_in_the_transport_room_only() -> None:
    for path in FILES:
        if room_of(path) == "transport":
            continue
        if path == ROOT / "serving" / "protocol.py":  # the server's side: it parses what clients send
            continue
        for statement, name, typing_only in imports(ast.parse(path.read_text())):
            assert typing_only or name.split(".")[0] not in HTTP, f"{path}:{statement.lineno}"


def test_a_vendor_file_imports_no_other_vendor_but_the_head_of_its_family() -> None:
    shared = {"base", "place", "table", "exchange", "embedding", "stream", "record", "openai", "__init__"}
    for path in (ROOT / "providers").glob("*.py"):
        if path.stem in shared:
            continue
        for statement, name, _ in imports(ast.parse(path.read_text())):
            if name.startswith("llmcore.providers."):
                assert name.split(".")[2] in shared - {"base", "exchange", "stream"}, (
                    f"{path}:{statement.lineno}: {name}"
                )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_begins_with_a_docstring_and_stays_readable(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{path} has no docstring"
    limit = 420
    assert text.count("\n") <= limit, f"{path} has {text.count(chr(10))} lines"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= 50, f"{path}:{node.lineno} {node.name} has {size} lines"


def test_there_is_no_import_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__") or "__init__"
        top_level = [
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        names = [name for node in top_level for _, name, _ in imports(ast.Module([node], []))]
        graph[module] = {name.removeprefix("llmcore.") for name in names if name.startswith("llmcore.")}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        for target in sorted(graph.get(module, ())):
            visit_once(target, (*trail, module))

    seen: set[str] = set()

    def visit_once(module: str, trail: tuple[str, ...]) -> None:
        if module in seen and module not in trail:
            return
        visit(module, trail)
        seen.add(module)

    for module in sorted(graph):
        visit_once(module, ())
