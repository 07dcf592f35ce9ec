"""Finding plugins: every failure is kept with its reason and stops nobody else."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import qelectron_core as ct
from qelectron_core.hookspecs import Register, hookimpl
from qelectron_core.registry import Namespace, Plugin, Registry, load, registry


class Entry:
    """An entry point that is not installed; loads a module or raises."""

    dist = SimpleNamespace(name="qelectron-fake", version="1.2.3")

    def __init__(self, name: str, target: Any) -> None:
        self.name = name
        self._target = target

    def load(self) -> Any:
        if isinstance(self._target, BaseException):
            raise self._target
        return self._target


def module(*hooks: Callable[..., None]) -> ModuleType:
    made = ModuleType("fake")
    for hook in hooks:
        setattr(made, hook.__name__, hook)
    return made


def offering(kind: str, *names: str, target: Any = int) -> ModuleType:
    def hook(register: Register) -> None:
        for name in names:
            register(name, target)

    hook.__name__ = f"qelectron_register_{kind}s"
    return module(hookimpl(hook))


def raising() -> ModuleType:
    @hookimpl
    def qelectron_register_executors(register: Register) -> None:
        register("Half", int)
        raise ValueError("no licence")

    return module(qelectron_register_executors)


def with_default() -> ModuleType:
    @hookimpl
    def qelectron_register_executors(register: Any = None) -> None:
        register("Default", int)

    return module(qelectron_register_executors)


def with_unknown_hook() -> ModuleType:
    @hookimpl
    def qelectron_register_excutors(register: Any) -> None:
        register("Misspelt", int)

    return module(qelectron_register_excutors)


def with_unknown_argument() -> ModuleType:
    @hookimpl
    def qelectron_register_executors(registr: Any) -> None:
        registr("Misspelt", int)

    return module(qelectron_register_executors)


def plugin(found: Registry, name: str) -> Plugin:
    (wanted,) = (p for p in found.plugins if p.name == name)
    return wanted


# --- load() ---------------------------------------------------------------------------


def test_plugins_are_sorted_by_name_after_the_core() -> None:
    entries = [Entry(name, offering("executor", name.upper())) for name in "cab"]
    found = load(entries)
    assert [p.name for p in found.plugins] == ["core", "a", "b", "c"]
    assert list(found.registrations("executor")) == ["A", "B", "C", "FakeCloud"]
    assert (found.plugins[1].distribution, found.plugins[1].version) == (
        "qelectron-fake",
        "1.2.3",
    )


@pytest.mark.parametrize("kind", ["executor", "selector", "store", "observer", "name"])
def test_every_kind_is_registered_by_its_hook(kind: Any) -> None:
    found = load([Entry("a", offering(kind, "X", target=dict))])
    assert plugin(found, "a").names(kind) == ["X"]
    assert found.resolve(kind, "X") is dict


def test_nothing_installed_leaves_the_core() -> None:
    found = load([])
    assert [p.name for p in found.plugins] == ["core"]
    assert list(found.registrations("store")) == ["memory"]
    assert found.plugins[0].error is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            ModuleNotFoundError("No module named 'boto3'"),
            "ModuleNotFoundError: No module",
        ),
        (SystemExit(2), "SystemExit: 2"),
        (raising(), "ValueError: no licence"),
        (
            with_default(),
            r"its argument 'register' a default value.*Remove the default",
        ),
        (with_unknown_hook(), "qelectron_register_excutors"),
        (with_unknown_argument(), "registr"),
    ],
    ids=["import", "exit", "raises", "default", "hook name", "argument"],
)
def test_a_broken_plugin_is_kept_with_its_reason_and_stops_nobody(
    target: Any, reason: str
) -> None:
    found = load(
        [
            Entry("a", offering("executor", "Before")),
            Entry("broken", target),
            Entry("z", offering("executor", "Half", "After")),
        ]
    )
    assert list(found.registrations("executor")) == [
        "After",
        "Before",
        "FakeCloud",
        "Half",
    ]
    assert plugin(found, "broken").registrations == ()
    error = plugin(found, "broken").error
    assert error is not None
    with pytest.raises(RuntimeError, match=reason):
        raise RuntimeError(error)
    assert plugin(found, "z").error is None


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_name_taken_twice_names_both_plugins(order: tuple[str, str]) -> None:
    targets = {
        "a": offering("executor", "Same"),
        "b": offering("executor", "Other", "Same"),
    }
    found = load([Entry(name, targets[name]) for name in order])
    assert plugin(found, "a").names("executor") == ["Same"]
    assert plugin(found, "b").registrations == (), "all or nothing"
    error = plugin(found, "b").error or ""
    for part in ("'Same'", "'a'", "'b'", "QELECTRON_DISABLE"):
        assert part in error


def test_a_plugin_may_not_register_a_name_twice() -> None:
    found = load([Entry("a", offering("selector", "x", "x"))])
    assert "already offered by plugin 'a'" in (plugin(found, "a").error or "")


def test_the_same_name_may_be_of_two_kinds() -> None:
    found = load(
        [Entry("a", offering("executor", "x")), Entry("b", offering("selector", "x"))]
    )
    assert [p.error for p in found.plugins] == [None, None, None]


def test_a_hook_under_another_name_belongs_to_its_own_plugin() -> None:
    @hookimpl(specname="qelectron_register_executors")
    def offers(register: Register) -> None:
        register("Renamed", int)

    found = load(
        [Entry("a", module(offers)), Entry("b", offering("executor", "Plain"))]
    )
    assert plugin(found, "b").names("executor") == ["Plain"]
    assert plugin(found, "b").error is None
    if plugin(found, "a").error is None:
        assert plugin(found, "a").names("executor") == ["Renamed"]


def test_disabled_plugins_are_not_imported() -> None:
    found = load(
        [Entry("a", AssertionError("was imported")), Entry("b", offering("name", "n"))],
        disabled=["a"],
    )
    assert [p.name for p in found.plugins] == ["core", "b"]


def test_tracing_prints_hook_calls(capsys: pytest.CaptureFixture[str]) -> None:
    load([Entry("a", offering("executor", "X"))], trace=True)
    assert "qelectron_register_executors" in capsys.readouterr().err
    load([Entry("a", offering("executor", "X"))])
    assert capsys.readouterr().err == ""


# --- resolve() ------------------------------------------------------------------------


def test_a_target_given_by_name_is_imported_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_sdk_for_test.py").write_text("class Thing: pass")
    monkeypatch.syspath_prepend(tmp_path)
    target = "lazy_sdk_for_test:Thing"
    found = load([Entry("a", offering("executor", "Thing", target=target))])
    assert "Thing" in found.registrations("executor")
    assert "lazy_sdk_for_test" not in sys.modules
    assert found.resolve("executor", "Thing").__module__ == "lazy_sdk_for_test"
    del sys.modules["lazy_sdk_for_test"]


@pytest.mark.parametrize("target", ["no_such_module_here:X", "json:NoSuchThing"])
def test_a_target_that_does_not_import_names_its_plugin(target: str) -> None:
    found = load([Entry("a", offering("executor", "X", target=target))])
    with pytest.raises(
        ct.PluginLoadError, match=r"executor 'X' of plugin 'a' did not load: .*Error"
    ):
        found.resolve("executor", "X")


def test_names_match_without_regard_to_case() -> None:
    found = load([Entry("a", offering("executor", "Simulator", target=int))])
    assert found.resolve("executor", "simulator") is int
    assert found.resolve("executor", "SIMULATOR") is int


def test_an_exact_match_goes_first() -> None:
    entries = [
        Entry("a", offering("executor", "Twin", target=int)),
        Entry("b", offering("executor", "twin", target=str)),
    ]
    found = load(entries)
    assert found.resolve("executor", "Twin") is int
    assert found.resolve("executor", "twin") is str


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        (
            "executor",
            "QiskitExecutor",
            [
                "no executor named 'QiskitExecutor'. Installed: 'FakeCloud', 'Mine'.",
                "pip install qelectron-qiskit",
            ],
        ),
        ("executor", "qiskitexecutor", ["pip install qelectron-qiskit"]),
        ("selector", "cyclic", ["Installed: none", "pip install qelectron-selectors"]),
        ("executor", "Mime", ["Did you mean 'Mine'?"]),
        (
            "executor",
            "zzz",
            ["no executor named 'zzz'. Installed: 'FakeCloud', 'Mine'."],
        ),
    ],
)
def test_an_unknown_name_says_what_there_is_and_what_to_install(
    kind: Any, name: str, parts: list[str]
) -> None:
    found = load([Entry("a", offering("executor", "Mine"))])
    with pytest.raises(ct.UnknownNameError) as caught:
        found.resolve(kind, name)
    for part in parts:
        assert part in str(caught.value)


def test_an_unknown_name_tells_of_plugins_that_did_not_load() -> None:
    found = load([Entry("vendor", ImportError("no SDK"))])
    with pytest.raises(
        ct.UnknownNameError, match="'vendor' did not load: ImportError: no SDK"
    ):
        found.resolve("executor", "Vendor")


# --- Namespaces -----------------------------------------------------------------------


def test_executors_and_selectors_are_attributes() -> None:
    assert ct.executor.Echo is ct.executors.Echo
    assert ct.executor.QCluster is ct.executors.QCluster is ct.QCluster
    assert ct.executor.echo is ct.executor.Echo
    assert callable(ct.selector.cyclic)


def test_namespaces_list_their_names() -> None:
    assert {"Echo", "QCluster", "Simulator"} <= set(dir(ct.executor))
    assert dir(ct.executor) == dir(ct.executors)
    assert {"cyclic", "random"} <= set(dir(ct.selector))
    assert "Echo" not in dir(ct.selector)


def test_the_package_lists_its_names_and_has_them() -> None:
    assert set(ct.__all__) <= set(dir(ct))
    assert [name for name in ct.__all__ if not hasattr(ct, name)] == []
    assert isinstance(ct.executor, Namespace)


@pytest.mark.parametrize(
    ("where", "name", "message"),
    [
        (ct.executor, "Nimbus", "pip install qelectron-nimbus"),
        (ct.executor, "Simulater", "Did you mean 'Simulator'"),
        (ct.selector, "cyclick", "Did you mean 'cyclic'"),
        (ct, "nimbus", "pip install qelectron-nimbus"),
        (ct, "QClustr", "Did you mean 'QCluster'"),
    ],
)
def test_a_missing_attribute_says_what_to_do(
    where: Any, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"Nimbus": "qelectron-nimbus"}  # a plugin that is not installed
    monkeypatch.setattr("qelectron_core.errors.KNOWN_DISTRIBUTIONS", known)
    with pytest.raises(AttributeError, match=message):
        getattr(where, name)


def test_private_names_are_not_looked_for_in_plugins() -> None:
    with pytest.raises(AttributeError, match=r"^_anything$"):
        _ = ct._anything


# --- What is really installed ---------------------------------------------------------


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A folder for PYTHONPATH in which a broken plugin is installed."""
    info = tmp_path / "qelectron_broken-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: qelectron-broken\nVersion: 0.3\n"
    )
    (info / "entry_points.txt").write_text("[qelectron]\nbroken = broken_for_test\n")
    (tmp_path / "broken_for_test.py").write_text("import no_such_sdk")
    return str(tmp_path)


def test_importing_the_core_imports_no_pennylane_no_numpy_and_no_plugin(
    broken: str,
) -> None:
    done = python("-X", "importtime", "-c", "import qelectron_core", PYTHONPATH=broken)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "qelectron_core" in imported
    tops = {name.partition(".")[0] for name in imported}
    unwanted = {"pennylane", "numpy", "broken_for_test", "qelectron_echo"}
    assert tops & (unwanted | {"qelectron_simulator", "qelectron_selectors"}) == set()


REPORT = (
    "from qelectron_core.registry import registry; import sys;"
    "print(*(f'{p.name}|{p.distribution}|{p.version}|{p.error}' "
    "for p in registry().plugins), sep='\\n');"
    "print('Echo' in registry().registrations('executor'));"
    "print('pennylane' in sys.modules)"
)


def test_a_broken_entry_point_is_listed_and_the_rest_works(broken: str) -> None:
    lines = python("-c", REPORT, PYTHONPATH=broken).stdout.splitlines()
    reason = "ModuleNotFoundError: No module named 'no_such_sdk'"
    assert f"broken|qelectron-broken|0.3|{reason}" in lines
    assert lines[-2:] == ["True", "False"]


def test_the_environment_disables_plugins(broken: str) -> None:
    done = python("-c", REPORT, PYTHONPATH=broken, QELECTRON_DISABLE="broken, echo")
    names = [line.partition("|")[0] for line in done.stdout.splitlines()[:-2]]
    assert "core" in names
    assert "selectors" in names
    assert not {"broken", "echo"} & set(names)
    assert done.stdout.splitlines()[-2] == "False"


def test_the_environment_turns_tracing_on() -> None:
    traced = python("-c", REPORT, QELECTRON_TRACE="1")
    assert "qelectron_register_executors" in traced.stderr
    assert python("-c", REPORT, QELECTRON_TRACE="0").stderr == ""


def test_nothing_that_is_installed_here_is_broken() -> None:
    assert [p.error for p in registry().plugins if p.error] == []
