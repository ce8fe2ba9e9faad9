"""The scorecard as one HTML page: no script, no address outside itself, light and dark, by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llmcore.chaos.nouns import VERDICTS, Finding, Result
from llmcore.chaos.report import PUBLISHED, Scorecard, origin, tally

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--soft:#f3f5f7;
--pass:#0f6b35;--partial:#8a5300;--safe:#0b57a4;--fail:#b3161b}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6eaef;--dim:#9aa6b2;--line:#2b333c;--soft:#181e25;
--pass:#5ed28c;--partial:#f0b45a;--safe:#74b5ff;--fail:#ff8a85}}
*{box-sizing:border-box}body{margin:0 auto;max-width:70rem;padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,sans-serif}h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.25rem 0}.dim{color:var(--dim)}.figures{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0;padding:0;list-style:none}
.figures li{background:var(--soft);border:1px solid var(--line);border-radius:.5rem;padding:.5rem .9rem;min-width:6rem}
.figures b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
.row,.head{display:grid;grid-template-columns:3rem 14rem 4.5rem 4.5rem 4.5rem minmax(0,1fr);gap:.9rem;align-items:baseline}
.head{color:var(--dim);font-size:.85rem;padding:.3rem .5rem .3rem 1.6rem;border-bottom:1px solid var(--line)}
details{border-bottom:1px solid var(--line)}summary{cursor:pointer;padding:.4rem .5rem .4rem 1.6rem;list-style:none;position:relative}
summary::-webkit-details-marker{display:none}summary::before{content:"\\25b8";position:absolute;left:.5rem;color:var(--dim)}
details[open]>summary::before{content:"\\25be"}summary:hover{background:var(--soft)}
summary:focus-visible{outline:2px solid var(--safe);outline-offset:-2px}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.id{font-variant-numeric:tabular-nums;color:var(--dim)}
.v{font-weight:600}.pass{color:var(--pass)}.partial{color:var(--partial)}.safe{color:var(--safe)}.fail{color:var(--fail)}
.more{padding:.2rem .5rem .8rem 1.6rem}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;vertical-align:top;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right}.wrap{overflow-x:auto}
@media(max-width:46rem){.head{display:none}.row{grid-template-columns:3.2rem 1fr auto}.row>.n{display:none}.row>.what{grid-column:1/-1}}
"""

_MEANING = (
    ("pass", "the answer arrived whole and exactly once, within every bound"),
    ("partial", "answered, but beyond a bound: too many attempts, too slow, a refusal routed around"),
    ("safe", "a clean typed error, but no rescue"),
    ("fail", "a hang, a cut shown as success, text twice, a lie in the accounting, a leak"),
)


def page(card: Scorecard) -> str:
    """The whole page."""
    body = "".join(
        (
            f'<header><h1>llmcore chaos</h1><p>{escape(origin(card))}</p><p class="dim">{_when(card)}</p></header><main>',
            _figures(card),
            _section("Public scenarios", card.public),
            _section("Further faults", card.more),
            _others(card) if len(card.public) == 16 else "",
            "<h2>What the verdicts mean</h2>",
            "".join(f'<p><span class="v {word}">{word}</span>: {text}</p>' for word, text in _MEANING),
            "</main>",
        )
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>llmcore chaos</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _when(card: Scorecard) -> str:
    factor = card.profile.factor
    scale = "published timings" if factor == 1 else f"all times scaled by {factor:g}, shown as published"
    return f"profile {escape(card.profile.name)}: {scale}; the run took {card.seconds:.0f} s"


def _figures(card: Scorecard) -> str:
    counts = tally(card.results)
    cells = [
        f"<li><b>{counts[verdict]}</b><span class='v {verdict}'>{verdict}</span></li>" for verdict in VERDICTS
    ]
    if card.public:
        cells.insert(
            0, f"<li><b>{tally(card.public)['pass']} of {len(card.public)}</b>public scenarios pass</li>"
        )
    return f'<ul class="figures">{"".join(cells)}</ul>'


def _section(title: str, results: tuple[Result, ...]) -> str:
    if not results:
        return ""
    head = (
        '<div class="head" aria-hidden="true"><span>id</span><span>what breaks</span><span>verdict</span>'
        '<span class="n">attempts</span><span class="n">time</span><span>what happened</span></div>'
    )
    return f"<section><h2>{title}</h2>{head}{''.join(_row(result) for result in results)}</section>"


def _row(result: Result) -> str:
    scenario, worst, verdict = result.scenario, result.worst, result.verdict
    faults = f" Faults {', '.join(map(str, scenario.faults))}." if scenario.faults else ""
    return (
        f'<details><summary><span class="row"><span class="id">{scenario.id}</span>'
        f'<span>{escape(scenario.title)}</span><span class="v {verdict}">{verdict}</span>'
        f'<span class="n">{worst.attempts}</span><span class="n">{worst.seconds:.1f} s</span>'
        f'<span class="what">{escape(worst.sentence)}</span></span></summary>'
        f'<div class="more"><p class="dim">{escape(scenario.sees)}{faults}</p>{_findings(result.findings)}</div></details>'
    )


def _findings(findings: tuple[Finding, ...]) -> str:
    rows = "".join(
        f"<tr><td>{finding.way}</td><td>{escape(finding.label)}</td>"
        f'<td class="v {finding.verdict}">{finding.verdict}</td><td class="n">{finding.attempts}</td>'
        f'<td class="n">{finding.at_broken}</td><td class="n">{finding.seconds:.2f} s</td>'
        f"<td>{escape(finding.sentence)}</td></tr>"
        for finding in findings
    )
    return (
        '<div class="wrap"><table><thead><tr><th>asked by</th><th>variant</th><th>verdict</th>'
        '<th class="n">attempts</th><th class="n">at the broken</th><th class="n">time</th><th>what happened</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _others(card: Scorecard) -> str:
    counts = tally(card.public)
    ours = ("llmcore, these settings", *(counts[verdict] for verdict in VERDICTS))
    rows = "".join(_other(row, ours=row is ours) for row in (ours, *PUBLISHED))
    return (
        '<h2>Beside the published figures of others</h2><p class="dim">Failover Bench, 2026-09-12: the same faults, '
        "measured there by another harness.</p>"
        '<div class="wrap"><table><thead><tr><th>system</th>'
        + "".join(f'<th class="n">{verdict}</th>' for verdict in VERDICTS)
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _other(row: Sequence[object], *, ours: bool) -> str:
    name, *figures = row
    shown = f"<b>{escape(str(name))}</b>" if ours else escape(str(name))
    cells = "".join(f'<td class="n">{figure}</td>' for figure in figures)
    return f"<tr><td>{shown}</td>{cells}</tr>"
