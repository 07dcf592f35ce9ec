"""What notebooks show of QElectrons, clusters and futures."""

import re
from typing import Any

import pennylane as qml

import qelectron_core as ct
from qelectron_core.showing import table


def texts(html: str) -> list[str]:
    """Return what is to be read in a table."""
    return re.findall(r"<(?:td|th|caption)>(.*?)</", html)


def make(executors: Any) -> ct.QElectron:
    @ct.qelectron(executors=executors)
    @qml.qnode(qml.device("default.qubit", wires=1), shots=7)
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.Z(0))

    return circuit


def test_whatever_a_table_holds_is_inert() -> None:
    shown = table(["<b>"], [["<script>alert(1)</script>"]], caption="a & b")
    assert "<script>" not in shown
    assert texts(shown) == [
        "a &amp; b",
        "&lt;b&gt;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ]


def test_a_qelectron_shows_its_settings() -> None:
    shown = texts(make(ct.executor.Echo())._repr_html_())
    assert shown[0] == "QElectron circuit"
    pairs = dict(zip(shown[1::2], shown[2::2], strict=True))
    assert pairs["executors"] == "Echo()"
    assert pairs["device"] == "&#x27;default.qubit&#x27;"
    assert "7" in pairs["shots"]
    assert pairs["cache"] == "False"


def test_a_cluster_shows_its_members_and_how_busy_they_are() -> None:
    slow = ct.executor.FakeCloud(name="showing", latency_s=600.0)
    cluster = ct.QCluster([slow, ct.executor.Echo()], failover=True)
    future = make(slow).run_later(0.1)
    shown = texts(cluster._repr_html_())
    future.cancel()
    assert shown[0].startswith(
        "cluster, selector &#x27;cyclic&#x27; per circuit, Failover("
    )
    assert shown[1:3] == ["executor", "circuits in flight"]
    assert shown[4] == "1"
    assert shown[5:] == ["Echo()", "0"]


def test_a_future_shows_where_its_circuits_ran() -> None:
    slow = make(ct.executor.FakeCloud(name="showing-2", latency_s=600.0)).run_later(0.1)
    assert texts(slow._repr_html_()) == [f"call {slow.id}: {slow._state.lower()}"]
    slow.cancel()
    done = make(ct.executor.Echo()).run_later(0.1)
    done.result()
    shown = texts(done._repr_html_())
    assert shown[0] == f"call {done.id}: finished"
    assert shown[1:6] == ["executor", "job", "waited, s", "ran, s", "outcome"]
    assert shown[6] == "Echo()"
    assert shown[-1] == "completed"
