"""Listens on 127.0.0.1, and serves the pages until the program is told to stop."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from qelectron_core import ConfigError
from qelectron_dashboard import pages
from qelectron_dashboard.door import Door
from qelectron_dashboard.look import css
from qelectron_dashboard.reading import whole
from qelectron_dashboard.site import Site

_HOST: Final = "127.0.0.1"
#: Seconds that open pages get to say good-bye.
_STOPS_IN_S: Final = 2


@contextmanager
def listen(port: int | None, *, usual: int) -> Iterator[socket.socket]:
    """Listen on a port of this machine that other machines cannot reach.

    Args:
        port: Which; 0 for any that is free, `None` for the usual one if it is.
        usual: The usual one.

    Raises:
        ConfigError: If something else listens there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, usual if port is None else port))
        except OSError as error:
            if port is not None or error.errno != errno.EADDRINUSE:
                message = (
                    f"port {port} of {_HOST} cannot be listened on: {error.strerror}. "
                    "Choose another one with --port N, or any with --port 0."
                )
                raise ConfigError(message) from None
            listening.bind((_HOST, 0))
        listening.listen()
        yield listening


def serve(site: Site, door: Door, listening: socket.socket) -> None:
    """Serve the pages until Ctrl-C."""
    app = FastAPI(openapi_url=None)
    # What draws circuits takes seconds to import: before somebody waits for it.
    threading.Thread(target=whole.pennylane, daemon=True).start()
    pages.register(site)
    ui.run_with(
        app,
        title="qelectron",
        favicon=css.ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    # It logs each page that is not there with its address, which anybody may write.
    logging.getLogger("nicegui").setLevel(logging.ERROR)
    # Whoever ends it lets it end in order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = uvicorn.Config(
        door.guard(app),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_STOPS_IN_S,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # which the server passes on after it has stopped
        return
