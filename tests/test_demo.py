"""What the demo computes, and what it shows of it."""

import importlib.util
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import qelectron_core as ct
from qelectron_core.cli import chsh, cli
from qelectron_core.cli import demo as demo_module
from qelectron_core.cli.plot import HALF, WIDTH, text_plot
from qelectron_core.contracts import Executor
from qelectron_core.registry import load
from qelectron_core.runtime import Runtime, use


def measure(count: int, executors: dict[str, Executor]) -> list[chsh.Curve]:
    futures = chsh.dispatch(chsh.angles(count), executors)
    ct.gather(futures)
    return chsh.curves(futures, executors)


def run(*args: str) -> Result:
    arguments = ["demo", "--angles", "4", "--seed", "5", *args]
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, arguments)


def run_anew(*args: str) -> Result:
    """Run the demo as another process would: nothing is known but what is on disk."""
    with use(Runtime()):
        return run("--no-plot", *args)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_exact_curve_is_theory_and_reaches_tsirelson() -> None:
    exact, *_ = measure(20, chsh.members(10, 1))
    theta = chsh.angles(20)
    np.testing.assert_allclose(
        exact.values, 3 * np.cos(theta) - np.cos(3 * theta), rtol=0, atol=1e-9
    )
    assert abs(exact.values[exact.peak]) == pytest.approx(2 * math.sqrt(2), abs=1e-9)
    assert math.degrees(theta[exact.peak]) == pytest.approx(45)
    assert not exact.errors.any()


def test_noise_is_the_one_that_is_stated() -> None:
    noisy = chsh.Noisy(ct.executor.Simulator(device="default.mixed"), shots=None)
    (curve,) = measure(8, {"noisy": noisy})
    # Depolarizing shrinks each qubit by 1 - 4p/3, a misread bit by 1 - 2p.
    visibility = (1 - 4 * 0.03 / 3) ** 2 * (1 - 2 * 0.01) ** 2
    assert noisy.visibility == pytest.approx(visibility)
    expected = visibility * chsh.exact_value(chsh.angles(8))
    np.testing.assert_allclose(curve.values, expected, rtol=0, atol=1e-9)


def test_sampled_curve_scatters_as_its_errors_say() -> None:
    executors = chsh.members(500, 11)
    _, noisy, *_ = measure(40, executors)
    noise = executors["noisy"]
    assert isinstance(noise, chsh.Noisy)
    expected = noise.visibility * chsh.exact_value(chsh.angles(40))
    pulls = (noisy.values - expected) / noisy.errors
    assert np.abs(pulls).max() < 5
    assert 0.5 < np.mean(pulls**2) < 1.7  # three standard deviations of its spread
    assert 2 < abs(noisy.values[noisy.peak]) < 2 * math.sqrt(2)


def test_equal_seeds_repeat() -> None:
    first, again, other = (measure(4, chsh.members(50, seed))[1] for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.values, again.values)
    assert (first.values != other.values).any()


def test_every_executor_runs_every_circuit() -> None:
    executors = chsh.members(10, 1)
    futures = chsh.dispatch(chsh.angles(3), executors)
    ct.gather(futures)
    ran_by = [future.executions[0].executor for future in futures]
    assert ran_by == list(executors.values()) * 12


def test_noisy_executor_is_a_value() -> None:
    noisy = chsh.members(10, 1)["noisy"]
    assert pickle.loads(pickle.dumps(noisy)) == noisy
    assert {noisy: 1}[chsh.members(10, 1)["noisy"]] == 1


def test_demo_shows_usage_and_bounds() -> None:
    result = run("--no-plot")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    exact, noisy = (
        next(row for row in rows if row[:2] == [name, "16"])
        for name in ("exact", "noisy")
    )
    assert exact[4] == "exact"
    assert noisy[4] == "1000"
    for row in (exact, noisy):
        assert row[2] == "0"
        assert 1 <= int(row[3]) <= 16
        assert 0 <= float(row[5]) < 60
    assert ["classical", "bound,", "2", "2.0000"] in rows
    assert ["largest,", "exact", "2.8284", "at", "45°"] in rows
    assert ["Tsirelson's", "bound,", "2√2", "2.8284"] in rows
    assert "± 0.0" in result.stdout
    assert "σ from 2" in result.stdout
    assert "θ in degrees" in result.stdout


def test_a_second_run_takes_all_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("qelectron_sqlite")
    monkeypatch.setenv("QELECTRON_STORE", str(tmp_path / "store.sqlite3"))
    first, second = (run_anew("--cache") for _ in range(2))
    assert "A second run finds them all." in first.stdout
    count = 16 * len(chsh.members(10, 1))
    assert f"All {count} results came from the cache; none was run." in second.stdout
    rows = [line.split()[:4] for line in second.stdout.splitlines()]
    assert ["exact", "0", "16", "0"] in rows
    assert ["noisy", "0", "16", "0"] in rows
    assert _results(first) == _results(second)


def _results(result: Result) -> list[str]:
    return [line for line in result.stdout.splitlines() if "largest" in line]


def test_without_a_store_on_disk_the_demo_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QELECTRON_STORE", "memory")
    result = run_anew("--cache")
    assert "came from the cache. They are kept for this process only" in result.stdout
    assert "pip install qelectron-sqlite" in result.stdout


def test_without_cache_the_demo_reuses_nothing() -> None:
    with use(Runtime()):
        shown = [run("--no-plot", *args).stdout for args in (("--cache",), ())]
    assert "cache." not in shown[1]
    rows = [line.split()[:3] for line in shown[1].splitlines()]
    assert ["exact", "16", "0"] in rows
    assert ["noisy", "16", "0"] in rows


def test_no_plot_writes_nothing(tmp_path: Path) -> None:
    assert run("--no-plot").exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "name", "start"),
    [
        ((), "chsh.png", b"\x89PNG"),
        (("--plot", "picture.svg"), "picture.svg", b"<?xml"),
    ],
)
def test_plot_is_written(
    tmp_path: Path, args: tuple[str, ...], name: str, start: bytes
) -> None:
    pytest.importorskip("matplotlib")
    result = run(*args)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"Wrote {name}\n")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes().startswith(start)


def test_plot_that_cannot_be_written_is_an_error() -> None:
    pytest.importorskip("matplotlib")
    name = "x" * 300 + ".png"  # too long for any file system
    result = run("--plot", name)
    assert result.exit_code == 1
    assert "Error: Could not open file" in result.stderr


def test_without_matplotlib_the_demo_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, *args: Any) -> Any:
        return None if name == "matplotlib" else find_spec(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    result = run()
    assert result.exit_code == 0, result.output
    assert 'pip install "qelectron-core[plot]"' in result.stdout
    assert "θ in degrees" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_without_plugins_the_demo_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_module, "registry", lambda: load([]))
    result = run()
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "pip install qelectron-simulator" in result.stderr
    assert "pip install qelectron-selectors" in result.stderr


def test_text_plot_puts_points_where_they_belong() -> None:
    thetas = np.array([0, math.pi / 2, math.pi])
    first = chsh.Curve("first", np.array([2.0, 0.0, -2.0]), np.zeros(3))
    second = chsh.Curve("second", np.array([2.0, 1.2, -9.0]), np.zeros(3))
    lines = text_plot(thetas, [first, second]).splitlines()[1:]
    rows = [line.partition("|")[2].ljust(WIDTH) for line in lines[: 2 * HALF + 1]]
    middle = (WIDTH - 1) // 2
    assert rows[HALF - 5] == "*" + "-" * (WIDTH - 1)
    assert rows[HALF][middle] == "o"
    assert rows[HALF - 3][middle] == "x"
    assert rows[HALF + 5][-1] == "o"
    assert rows[-1][-1] == "x"  # what is off the scale stays at its edge
    assert rows[0][0] == "="
    assert "o first  x second" in lines[-1]


def test_plugins_bring_executors_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    @classmethod  # type: ignore[misc]
    def for_demo(cls: Any, *, shots: int, seed: int | None) -> dict[str, Executor]:
        return {f"echo of {shots} and {seed}": cls(value=1.0)}

    monkeypatch.setattr(ct.executor.Echo, "for_demo", for_demo)
    found = chsh.members(30, 4)
    assert found["echo of 30 and 4"] == ct.executor.Echo(value=1.0)
    echoed = measure(2, found)[list(found).index("echo of 30 and 4")]
    np.testing.assert_array_equal(echoed.values, [2.0, 2.0])


def test_a_fake_machine_is_there_with_its_plugin() -> None:
    pytest.importorskip("qelectron_qiskit")
    executors = chsh.members(2000, 3)
    assert executors["fake_manila"].shots == 2000
    curve = measure(4, executors)[list(executors).index("fake_manila")]
    ideal = chsh.exact_value(chsh.angles(4))
    assert 2 < abs(curve.values[1]) < abs(ideal[1]), "it violates, and it is noisy"
