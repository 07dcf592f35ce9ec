"""Colours, the icon, and the rules of style that the framework has no words for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: A colour for what may have become of a call, a circuit or a job. After M. Okabe and
#: K. Ito, "Color Universal Design" (2008): people who see few colours tell these apart,
#: and each state has a sign of its own beside it.
COLOURS: Final[Mapping[str, str]] = {
    "completed": "#009E73",
    "cached": "#56B4E9",
    "running": "#E69F00",
    "started": "#E69F00",
    "submitted": "#E69F00",
    "retried": "#CC79A7",
    "failed": "#D55E00",
    "lost": "#D55E00",
    "cancelled": "#CC79A7",
    "queued": "#0072B2",
    "working": "#E69F00",
    "failing": "#D55E00",
    "left out": "#CC79A7",
}
SIGNS: Final[Mapping[str, str]] = {
    "completed": "✓",
    "cached": "⟲",
    "running": "▶",
    "started": "▶",
    "submitted": "…",
    "retried": "↻",
    "failed": "✗",
    "lost": "?",
    "cancelled": "⊘",
    "waiting": "·",
    "queued": "…",
    "skipped": "–",
    "working": "▶",
    "failing": "✗",
    "idle": "·",
    "left out": "⊘",
}
#: The same as text, which has to stand out more: on light and on dark ground.
_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "#009E73": ("#00704F", "#2BC79A"),
    "#56B4E9": ("#1B6CA8", "#56B4E9"),
    "#E69F00": ("#855600", "#E69F00"),
    "#CC79A7": ("#99416F", "#E09BC1"),
    "#D55E00": ("#B34700", "#FF8B45"),
    "#0072B2": ("#0072B2", "#56B4E9"),
}
#: For what has no state, and for series of a chart.
QUIET: Final = "#7F8C9A"
BLUE: Final = "#0072B2"

ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    f'<circle cx="16" cy="16" r="5" fill="{BLUE}"/>'
    f'<g fill="none" stroke="{BLUE}" stroke-width="2">'
    '<ellipse cx="16" cy="16" rx="14" ry="6"/>'
    '<ellipse cx="16" cy="16" rx="14" ry="6" transform="rotate(60 16 16)"/>'
    '<ellipse cx="16" cy="16" rx="14" ry="6" transform="rotate(120 16 16)"/>'
    "</g></svg>"
)


def text_colour(state: str) -> str:
    """Return the colour of a state's sign and name, as a style has it."""
    return f"var(--{_slug(state)})" if state in COLOURS else "inherit"


def _slug(state: str) -> str:
    return f"state-{state.replace(' ', '-')}"


def _variables(ground: int) -> str:
    texts = {state: _TEXTS[colour][ground] for state, colour in COLOURS.items()}
    return " ".join(f"--{_slug(state)}: {text};" for state, text in texts.items())


_STATES: Final = f"""
:root {{ {_variables(0)} }}
body.body--dark {{ {_variables(1)} }}
"""
_RULES: Final = """
:root { --quiet: #5b6673; --line: #d9dee4; --panel: #ffffff; --ground: #f4f6f8; }
body.body--dark {
  --quiet: #a3afbd; --line: #323b46; --panel: #1b2128; --ground: #12161b;
  --q-primary: #56b4e9 !important;
}
/* The framework has put what Quasar calls important into this layer. */
@layer quasar_importants {
  body.body--dark .bg-primary, body.body--dark .nicegui-skip-link {
    color: #12161b !important; }
  .q-btn:focus-visible { outline: 2px solid var(--q-primary) !important;
    outline-offset: 2px; }
}
body.body--dark .ag-root-wrapper, body.body--dark .ag-header {
  --ag-background-color: var(--panel); --ag-odd-row-background-color: var(--panel);
  --ag-header-background-color: var(--ground); }
body { background: var(--ground); font-feature-settings: "tnum"; }
.nicegui-content { max-width: 1500px; margin: 0 auto; padding: 1rem; gap: 1rem; }
.q-header { background: var(--panel); color: inherit;
  border-bottom: 1px solid var(--line); }
.content { display: flex; flex-direction: column; gap: 1rem; width: 100%;
  min-width: 0; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem; width: 100%; min-width: 0; }
.quiet { color: var(--quiet); }
.title { font-size: 1.35rem; line-height: 1.3; font-weight: 600; margin: 0; }
.subtitle { font-size: 1rem; line-height: 1.4; font-weight: 600; margin: 0; }
.mono { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .85rem;
  white-space: pre; overflow-x: auto; max-width: 100%; }
.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.nav { display: flex; gap: .25rem; overflow-x: auto; flex-wrap: nowrap; min-width: 0; }
.nav a { color: inherit; text-decoration: none; padding: .45rem .7rem;
  border-radius: 6px; white-space: nowrap; }
.nav a:hover { background: var(--ground); }
.nav a[aria-current] { background: var(--ground); font-weight: 600;
  box-shadow: inset 0 -2px 0 var(--q-primary); }
a:focus-visible, button:focus-visible, [tabindex]:focus-visible {
  outline: 2px solid var(--q-primary); outline-offset: 2px; }
.nicegui-link, .ag-cell a { color: var(--q-primary); }
.state { display: inline-flex; align-items: center; gap: .35rem; white-space: nowrap; }
.state > i { font-style: normal; font-weight: 700; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr);
  gap: .3rem 1rem; }
.facts > :nth-child(odd) { color: var(--quiet); }
.facts > :nth-child(even) { overflow-wrap: anywhere; }
.tiles { display: grid; gap: 1rem; width: 100%;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.told { display: grid; gap: .6rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.items-center { align-items: center; }
.stack { display: flex; flex-direction: column; gap: .6rem; }
.bar { height: .6rem; width: 100%; border-radius: 4px; overflow: hidden;
  background: var(--line); }
.bar > div { height: 100%; min-width: 2px; transition: width .3s; }
.columns { display: block; width: 100%; height: 2.6rem;
  border-bottom: 1px solid var(--line); }
.empty { text-align: center; padding: 3rem 1rem; }
.tall { height: calc(100vh - 15.5rem); min-height: 20rem; width: 100%; }
@media (max-width: 600px) {
  .nicegui-content { padding: .5rem; gap: .5rem; }
  .where { display: none; }
  .q-header { flex-wrap: wrap; }
  .nav { order: 1; width: 100%; gap: 0; justify-content: space-between; }
  .nav a { padding: .3rem .35rem; font-size: .85rem; }
}
"""

#: What every page has.
RULES: Final = _STATES + _RULES
