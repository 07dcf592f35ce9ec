"""The selectors: which executor of a cluster runs which circuit."""

import copy
import pickle
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import pennylane as qml
import pytest

import qelectron_core as ct
from qelectron_core import Executor, Job, Result
from qelectron_core.registry import registry
from qelectron_selectors.selectors import Cyclic, Random

MEMBERS = ("first", "second", "third")


@attrs.frozen
class Constant(Executor):
    """Answers every circuit with one number."""

    value: float = 0.0

    def run(self, job: Job) -> Sequence[Result]:
        return [self.value for _ in job.circuits]


def make(selector: Any, n_executors: int = 3) -> ct.QElectron:
    executors = [Constant(value=float(n)) for n in range(n_executors)]

    @ct.qelectron(executors=executors, selector=selector)
    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x: float) -> Any:
        qml.RX(x, wires=0)
        return qml.expval(qml.PauliZ(0))

    return circuit


def picks(selector: Any, count: int) -> list[str]:
    return [selector(None, MEMBERS) for _ in range(count)]


def test_the_plugin_offers_both_by_name() -> None:
    (plugin,) = (p for p in registry().plugins if p.name == "selectors")
    assert plugin.error is None
    assert plugin.names("selector") == ["cyclic", "random"]
    assert ct.selector.cyclic is Cyclic
    assert ct.selector.random is Random


def test_finding_the_plugin_does_not_import_pennylane() -> None:
    code = (
        "import sys, qelectron_core as ct; ct.selector.cyclic; "
        "assert 'qelectron_selectors.selectors' in sys.modules; "
        "assert 'pennylane' not in sys.modules; assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_cyclic_goes_round_in_order() -> None:
    assert picks(Cyclic(), 7) == [*MEMBERS, *MEMBERS, "first"]


def test_cyclic_serves_all_alike_from_many_threads() -> None:
    selector, found, start = Cyclic(), Counter[str](), threading.Barrier(8)
    lock = threading.Lock()

    def pick() -> None:
        start.wait(timeout=10)
        mine = Counter(picks(selector, 300))
        with lock:
            found.update(mine)

    threads = [threading.Thread(target=pick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert found == dict.fromkeys(MEMBERS, 800)


@pytest.mark.parametrize(
    "duplicate",
    [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_a_copied_cyclic_goes_on_where_the_original_stood(duplicate: Any) -> None:
    selector = Cyclic()
    picks(selector, 4)
    other = duplicate(selector)
    assert picks(other, 2) == ["second", "third"]
    assert picks(selector, 1) == ["second"], "the copy has a turn of its own"


def test_random_picks_every_member_about_as_often() -> None:
    found = Counter(picks(Random(seed=1), 3000))
    assert set(found) == set(MEMBERS)
    # 1000 each; the standard deviation is 26.
    assert all(abs(count - 1000) < 130 for count in found.values())


def test_random_repeats_with_its_seed_and_differs_without() -> None:
    assert picks(Random(seed=3), 50) == picks(Random(seed=3), 50)
    assert picks(Random(seed=3), 50) != picks(Random(seed=4), 50)
    assert picks(Random(), 50) != picks(Random(), 50)


def test_a_pickled_random_goes_on_with_the_same_sequence() -> None:
    selector = Random(seed=5)
    picks(selector, 10)
    other = pickle.loads(pickle.dumps(selector))
    assert picks(other, 20) == picks(selector, 20)


def test_cyclic_spreads_the_calls_of_a_qelectron_in_order() -> None:
    circuit = make("cyclic")
    assert float(circuit(0.1)) == 0.0
    assert float(circuit.run_later(0.1).result()) == 1.0
    assert [float(r) for r in circuit.map([0.1] * 4)] == [2.0, 0.0, 1.0, 2.0]


def test_every_qelectron_starts_with_the_first_executor() -> None:
    one, other = make("cyclic"), make("cyclic")
    assert [float(one(0.1)), float(other(0.1))] == [0.0, 0.0]


def test_a_seeded_random_selector_repeats_in_a_qelectron() -> None:
    xs = [0.1] * 30
    runs = [[float(r) for r in make(Random(seed=8)).map(xs)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert set(runs[0]) == {0.0, 1.0, 2.0}
