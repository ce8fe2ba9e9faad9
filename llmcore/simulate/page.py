"""A report as one self-contained HTML page: the tables, and the picture where matplotlib is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from llmcore.simulate import plots

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1b1b }
table { border-collapse: collapse; margin: 1rem 0 } h1, h2 { font-weight: 600; line-height: 1.2 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd } th:first-child, td:first-child { text-align: left }
svg { max-width: 100%; height: auto } .scroll { overflow-x: auto }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #eee } th, td { border-color: #444 } svg { background: #fff } }
"""

Table = tuple[Sequence[str], Sequence[Sequence[str]]]


def page(report: Mapping[str, Any], tables: Sequence[tuple[str, Table]]) -> str:
    """The page. tables: each with its heading; a table is its titles and its rows."""
    title = escape(f"{report['scenario']} (seed {report['seed']})")
    body = "".join(f"<h2>{escape(heading)}</h2>{_table(table)}" for heading, table in tables)
    picture = f'<h2>Over time</h2><div class="scroll">{plots.svg(report)}</div>' if plots.available() else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{body}{picture}</body></html>\n"
    )


def _table(table: Table) -> str:
    titles, rows = table
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
