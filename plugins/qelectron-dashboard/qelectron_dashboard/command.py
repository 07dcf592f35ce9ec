"""The command `dashboard`: serves the pages until Ctrl-C."""

from __future__ import annotations

import os
import webbrowser

import click

from qelectron_sqlite.cli.opening import VARIABLE, opened, store_option
from qelectron_sqlite.cli.texts import examples

#: Where it listens unless it is told otherwise, or something else listens there.
PORT = 8266


@click.command(
    epilog=examples(
        "qelectron dashboard",
        "qelectron dashboard --port 9000 --no-browser",
        "qelectron dashboard --store results.sqlite3",
    )
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help=f"Listen on this port of 127.0.0.1; 0 for any free one. "
    f"[default: {PORT}, or a free one]",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@store_option
def dashboard(*, port: int | None, no_browser: bool, location: str | None) -> None:
    """Show in a browser what ran and runs.

    It shows what all programs keep that use this store, also while they run. Only this
    machine can reach it, with the link that is printed, which works once.
    """
    from qelectron_dashboard.door import Door
    from qelectron_dashboard.server import listen, serve
    from qelectron_dashboard.site import Site

    if location is not None:
        # What is run again from a page is kept where the page looks.
        os.environ[VARIABLE] = os.path.abspath(os.path.expanduser(location))
    with opened(location) as store, listen(port, usual=PORT) as socket:
        door = Door(port=socket.getsockname()[1])
        site = Site(store, store.usage().location)
        click.echo(f"The dashboard of {site.location} is at\n\n    {door.link}\n")
        click.echo("The link works once. Ctrl-C stops the dashboard.")
        if not no_browser:
            webbrowser.open(door.link)
        serve(site, door, socket)
    click.echo("Stopped.")
