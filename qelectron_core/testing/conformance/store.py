"""The rules of stores."""

from __future__ import annotations

from qelectron_core.testing.conformance.store_documents import DocumentRules
from qelectron_core.testing.conformance.store_durable import DurableRules
from qelectron_core.testing.conformance.store_jobs import JobRules
from qelectron_core.testing.conformance.store_journal import JournalRules
from qelectron_core.testing.conformance.store_ledgers import LedgerRules
from qelectron_core.testing.conformance.store_life import LifeRules
from qelectron_core.testing.conformance.store_results import ResultRules
from qelectron_core.testing.conformance.store_tallies import TallyRules


class StoreConformance(  # pytest goes through the bases from the last to the first
    TallyRules,
    LedgerRules,
    DocumentRules,
    DurableRules,
    LifeRules,
    ResultRules,
    JobRules,
    JournalRules,
):
    """The rules of stores; `make` returns a new, empty one.

    A durable store also needs `reopen`, which returns another store in the same
    place, whether the first one is closed or not.

    Example:
        >>> from qelectron_core.memory_store import MemoryStore
        >>> class TestMemoryStore(StoreConformance):
        ...     def make(self):
        ...         return MemoryStore()
    """
