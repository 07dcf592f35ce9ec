"""Waits for what may take long without keeping anybody else waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def apart(function: Callable[..., T], *args: Any) -> T:
    """Return what a function returns that may take long, as it asks a vendor, say.

    It runs on a thread of its own: those of the framework are few, the store is read
    on them, and at its end the program waits for them.

    Raises:
        Exception: What it raises.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[Any], None], what: Any) -> None:
        if not answer.done():  # the page may be gone
            tell(what)

    def work() -> None:
        told: tuple[Callable[[Any], None], Any]
        try:
            told = answer.set_result, function(*args)
        except Exception as error:
            told = answer.set_exception, error
        except BaseException as error:  # a plugin that calls sys.exit(), say
            message = f"it ended with {type(error).__name__}: {error}"
            told = answer.set_exception, RuntimeError(message)
        with suppress(RuntimeError):  # the loop is closed: the program ends
            loop.call_soon_threadsafe(settle, *told)

    threading.Thread(target=work, daemon=True, name="qelectron-apart").start()
    return await answer
