"""Rules of stores about budgets; left out where a store counts nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from qelectron_core.store import Balance, Key, Store, keeps_ledgers
from qelectron_core.testing.conformance.doubles import call, entry, kept
from qelectron_core.testing.conformance.rules import calling, declared, require, rule
from qelectron_core.testing.conformance.store_kit import StoreKit, require_runs, write
from qelectron_core.testing.conformance.threads import together

#: Threads that use a store at once, how often each, and how much fits in all.
_THREADS: Final = 8
_EACH: Final = 10
_FITS: Final = 50
#: Amounts that no rounding may change.
_BIG: Final = 10**15 + 1
Amounts = Mapping[str, int]


class LedgerRules(StoreKit):
    """What is counted of budgets, by whom, and for how long."""

    @rule
    def test_t50_counts_exactly(self) -> None:
        """What is held and spent is counted exactly, by unit; what is settled is not held."""  # noqa: E501
        store = self._counting()
        _require_balance(store, {}, {})
        _reserve(store, {"shots": _BIG, "é ": 3}, {})
        _require_balance(store, {}, {"shots": _BIG, "é ": 3})
        _settle(store, {"shots": _BIG - 1}, {"shots": 7, "jobs": _BIG})
        _require_balance(store, {"shots": 7, "jobs": _BIG}, {"shots": 1, "é ": 3})
        _settle(store, {"shots": 1, "é ": 3}, {"shots": -3})
        _require_balance(store, {"shots": 4, "jobs": _BIG}, {})

    @rule
    def test_t51_refuses_what_exceeds(self) -> None:
        """What fits to the last is granted; what exceeds one limit is refused as a whole."""  # noqa: E501
        store = self._counting()
        limits = {"shots": 10, "jobs": 5}
        _reserve(store, {"shots": 4, "jobs": 1}, limits)
        _settle(store, {"shots": 4, "jobs": 1}, {"shots": 4, "jobs": 1})
        _reserve(store, {"shots": 4}, limits)
        for wanted in ({"shots": 3, "jobs": 1}, {"shots": 1, "jobs": 5}):
            _reserve(store, wanted, limits, granted=False)
            _require_balance(store, {"shots": 4, "jobs": 1}, {"shots": 4})
        _reserve(store, {"shots": 2, "jobs": 4}, limits)

    @rule
    def test_t52_keeps_apart_what_is_asked_for(self) -> None:
        """A limit counts for its own ledger and unit, and only where some is wanted."""
        store = self._counting()
        _reserve(store, {"shots": 9, "jobs": 9}, {"shots": 9})
        _reserve(store, {"shots": 9}, {"shots": 9}, ledger="other")
        _reserve(store, {"shots": 0, "jobs": 1}, {"shots": 5})
        _reserve(store, {"jobs": 1}, {"shots": 5})
        _settle(store, {"shots": 9}, {"shots": 9}, ledger="other")
        _require_balance(store, {}, {"shots": 9, "jobs": 11})
        _require_balance(store, {"shots": 9}, {}, ledger="other")

    @rule
    def test_t53_never_overspends_among_threads(self) -> None:
        """Threads at once are granted all that fits together, and no more."""
        store = self._counting()

        def work(thread: int) -> int:
            return sum(_spend_one(store) for _ in range(_EACH))

        with calling(f"reserve and settle from {_THREADS} threads at once"):
            granted = sum(together(_THREADS, work))
        require(
            granted == _FITS,
            expected=f"{_FITS} of {_THREADS * _EACH} to be granted, as many as fit",
            seen=f"{granted} were",
        )
        _require_balance(store, {"shots": _FITS}, {})

    @rule
    def test_t54_keeps_ledgers_apart(self) -> None:
        """`clear` leaves what was spent; ledgers are in no journal; a new store has none."""  # noqa: E501
        store = self._counting()
        write(store, call("kit"), entry("kit"), kept(Key("pool"), 0.5))
        _settle(store, {}, {"shots": 3})
        store.clear()
        _require_balance(store, {"shots": 3}, {})
        require_runs(store, ["kit"])
        _require_balance(self._new(), {}, {})

    @rule
    def test_t55_outlasts_the_process(self) -> None:
        """Where it declares `durable`, what was spent outlasts a close, and a killed process."""  # noqa: E501
        first = self._counting(durable=True)
        _settle(first, {}, {"shots": 3})

        def crash(store: Store) -> None:
            store.settle("kit", {}, {"shots": 4, "jobs": 1})

        again = self._after_crash(first, crash)
        _require_balance(again, {"shots": 7, "jobs": 1}, {})

    @rule
    def test_t56_gives_back_what_the_dead_held(self) -> None:
        """Where it declares `durable`, what a killed process, or a closed store, held is free again."""  # noqa: E501

        def crash(store: Store) -> None:
            store.reserve("kit", {"shots": 9}, {"shots": 9})

        one = self._after_crash(self._counting(durable=True), crash)
        _require_balance(one, {}, {})
        _reserve(one, {"shots": 9}, {"shots": 9})
        other = self._again(one)
        _reserve(other, {"shots": 1}, {"shots": 9}, granted=False)
        one.close()
        _require_balance(other, {}, {})
        _reserve(other, {"shots": 9}, {"shots": 9})

    @rule
    def test_t57_counts_what_others_spend(self) -> None:
        """Where it declares `durable`, stores in one place count what the others spend and hold."""  # noqa: E501
        one = self._counting(durable=True)
        other = self._again(one)
        _reserve(one, {"shots": 5}, {"shots": 9})
        _reserve(other, {"shots": 5}, {"shots": 9}, granted=False)
        _reserve(other, {"shots": 4}, {"shots": 9})
        _settle(one, {"shots": 5}, {"shots": 2})
        for store in (one, other):
            _require_balance(store, {"shots": 2}, {"shots": 4})
        stores = (one, other)

        def work(thread: int) -> int:
            return sum(_spend_one(stores[thread % 2], "both") for _ in range(_EACH))

        with calling("reserve and settle of two stores at once"):
            granted = sum(together(_THREADS, work))
        require(
            granted == _FITS,
            expected=f"{_FITS} to be granted by two stores together, as many as fit",
            seen=f"{granted} were",
        )

    def _counting(self, *, durable: bool = False) -> Store:
        """Return a store that counts what is spent."""
        store = self._durable() if durable else self._new()
        declared("ledgers", keeps_ledgers(store))
        return store


def ledger_calls(store: Store) -> list[tuple[str, Callable[[int], object]]]:
    """Return the calls that an instant store answers at once."""
    if not keeps_ledgers(store):
        return []
    return [
        ("reserve", lambda n: store.reserve("kit", {"shots": n}, {"shots": 10**6})),
        ("settle", lambda n: store.settle("kit", {"shots": n}, {"shots": n})),
        ("balance", lambda n: store.balance("kit")),
    ]


def _spend_one(store: Store, ledger: str = "kit") -> bool:
    """Hold one, and spend it; tell whether it was granted."""
    granted = store.reserve(ledger, {"shots": 1}, {"shots": _FITS}).granted
    if granted:
        store.settle(ledger, {"shots": 1}, {"shots": 1})
    return granted


def _reserve(
    store: Store,
    wanted: Amounts,
    limits: Amounts,
    *,
    ledger: str = "kit",
    granted: bool = True,
) -> None:
    """Fail unless amounts are granted, or refused, as they should be."""
    what = f"reserve({ledger!r}, {dict(wanted)}, {dict(limits)})"
    with calling(what):
        answer = store.reserve(ledger, wanted, limits)
        after = store.balance(ledger)
    require(
        answer.granted == granted,
        expected=f"{what} to be {'granted' if granted else 'refused'}",
        seen=answer,
    )
    require(
        _some(answer.spent) == _some(after.spent)
        and _some(answer.held) == _some(after.held),
        expected=f"{what} to return what balance returns afterwards, {after}",
        seen=answer,
    )


def _settle(store: Store, held: Amounts, spent: Amounts, ledger: str = "kit") -> None:
    with calling("settle"):
        store.settle(ledger, held, spent)


def _require_balance(
    store: Store, spent: Amounts, held: Amounts, *, ledger: str = "kit"
) -> None:
    with calling("balance"):
        found: Balance = store.balance(ledger)
    seen = (_some(found.spent), _some(found.held))
    require(
        seen == (dict(spent), dict(held)),
        expected=f"balance({ledger!r}) to be {dict(spent)} spent and {dict(held)} held",
        seen=f"{seen[0]} spent and {seen[1]} held",
    )


def _some(amounts: Amounts) -> dict[str, int]:
    return {unit: amount for unit, amount in amounts.items() if amount}
