"""The pages; each module makes one or a few that belong together."""

from qelectron_dashboard.pages import (
    cache,
    call,
    calls,
    compare,
    dispatches,
    executors,
    jobs,
    settings,
)
from qelectron_dashboard.site import Site


def register(site: Site) -> None:
    """Make all pages known to the framework."""
    for module in (calls, call, compare, executors, jobs, dispatches, cache, settings):
        module.register(site)
