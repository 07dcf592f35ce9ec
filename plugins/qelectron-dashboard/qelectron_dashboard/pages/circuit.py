"""The part of a call's page that shows one circuit."""

from __future__ import annotations

from typing import Any, Final

from nicegui import ui

from qelectron_dashboard.look import outcomes, parts
from qelectron_dashboard.reading.call import Attempt, Circuit
from qelectron_sqlite.cli.texts import count

_COLUMNS: Final = (
    {"name": "gate", "label": "gate", "field": "gate", "align": "left"},
    {"name": "wires", "label": "wires", "field": "wires", "align": "left"},
    {"name": "values", "label": "parameters", "field": "values", "align": "left"},
)


class CircuitPanel:
    """Shows a circuit; makes anew only what is other than it was."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        with ui.element("div").classes("stack"):
            with ui.element("section").classes("panel stack"):
                self._title = ui.element("div").classes("heads")
                self._drawing = ui.element("div").classes("full-width")
            with ui.element("section").classes("panel stack") as self._gave:
                parts.heading("Result")
                self._outcomes = ui.element("div").classes("stack full-width")
            with ui.element("section").classes("panel stack"):
                parts.heading("How it ran")
                self._attempts = ui.element("div").classes("stack full-width")
            with ui.element("section").classes("panel stack") as self._has_parameters:
                parts.heading("Parameters")
                self._parameters = ui.element("div").classes("full-width")

    def show(self, circuit: Circuit) -> None:
        """Show a circuit."""
        title = circuit.index, circuit.state, circuit.executor
        if self._is_new("title", title):
            self._show_title(circuit)
        if self._is_new("drawing", (circuit.drawing, circuit.remark)):
            self._show_drawing(circuit)
        gave = circuit.index, circuit.outcomes, circuit.missing
        self._gave.visible = bool(circuit.outcomes or circuit.missing)
        if self._is_new("outcomes", gave):
            self._show_outcomes(circuit)
        if self._is_new("attempts", (circuit.index, circuit.attempts)):
            self._show_attempts(circuit)
        self._has_parameters.visible = bool(circuit.parameters)
        if self._is_new("parameters", circuit.parameters):
            self._show_parameters(circuit)

    def _is_new(self, part: str, value: Any) -> bool:
        is_new = part not in self._known or self._known[part] != value
        self._known[part] = value
        return is_new

    def _show_title(self, circuit: Circuit) -> None:
        self._title.clear()
        with self._title:
            parts.heading(f"Circuit {circuit.index}")
            parts.state(circuit.state)
            ui.label(circuit.executor).classes("quiet wrap")

    def _show_drawing(self, circuit: Circuit) -> None:
        self._drawing.clear()
        with self._drawing:
            if circuit.drawing:
                drawing = ui.label(circuit.drawing).classes("mono")
                drawing.props('role=img tabindex=0 aria-label="Drawing of the circuit"')
            else:
                ui.label(circuit.remark).classes("quiet wrap")

    def _show_outcomes(self, circuit: Circuit) -> None:
        self._outcomes.clear()
        with self._outcomes:
            for one in circuit.outcomes:
                outcomes.show(one)
            if circuit.missing:
                ui.label(circuit.missing).classes("quiet")

    def _show_attempts(self, circuit: Circuit) -> None:
        self._attempts.clear()
        with self._attempts:
            for attempt in circuit.attempts:
                self._show_attempt(attempt, numbered=len(circuit.attempts) > 1)

    def _show_attempt(self, attempt: Attempt, *, numbered: bool) -> None:
        if numbered:
            with ui.element("div").classes("heads"):
                ui.label(f"Attempt {attempt.number}")
                parts.state(attempt.state)
        parts.facts(dict(attempt.facts))
        if attempt.error:
            error = ui.label(attempt.error).classes("failure wrap mono")
            error.props('aria-label="Error"')
        if attempt.metadata:
            ui.label("What the executor told").classes("quiet")
            parts.facts(dict(attempt.metadata))

    def _show_parameters(self, circuit: Circuit) -> None:
        self._parameters.clear()
        with self._parameters:
            ui.table(
                columns=[*_COLUMNS],
                rows=[
                    {"id": place, "gate": gate, "wires": wires, "values": values}
                    for place, (gate, wires, values) in enumerate(circuit.parameters)
                ],
            ).props(outcomes.TABLE).classes("listed mono")
            if circuit.left_out:
                left_out = count(circuit.left_out, "more operation")
                ui.label(f"… and {left_out}").classes("quiet")
