"""The command `token`: keeps tokens of vendors, and never shows one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import click

from qelectron_core.errors import ConfigError

if TYPE_CHECKING:
    from qelectron_core.tokens.vendor import VendorTokens

_profile: Final = click.option(
    "--profile", metavar="NAME", help="One of several tokens; see the setting profile."
)
_SEEN: Final = (
    "a token is no argument: the history of the shell and the list of processes show "
    "those. It is asked for, or read from standard input: qelectron token set NAME. If "
    "it was one, replace it at the vendor."
)


@click.group()
def token() -> None:
    """Keep the tokens of vendors where programs find them and nobody sees them.

    They are kept in the keyring of the system, if there is one, or else in a file that
    only you can read.

    Example: qelectron token set ibm
    """


@token.command(name="set", options_metavar="[OPTIONS]")
@click.argument("name")
@click.argument("more", nargs=-1, metavar="")
@_profile
def set_(name: str, more: tuple[str, ...], *, profile: str | None) -> None:
    """Keep a token, which is asked for, or read from standard input.

    Example: qelectron token set ibm --profile lab
    """
    from qelectron_core.tokens import keeping

    if more:  # most likely the token, which is not to be repeated
        raise ConfigError(_SEEN)
    vendor = _vendor(name)
    given = _ask(name, vendor)
    profile = _chosen(profile)
    where = keeping.put(name, profile, given)
    shown = "the keyring" if where == "keyring" else str(keeping.path())
    click.echo(f"token {name!r} (profile {profile!r}) is kept in {shown}")
    for variable in _set_variables(vendor):
        click.echo(f"Note: {variable} is set here, and wins.", err=True)


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def list_(*, as_json: bool) -> None:
    """List which tokens there are and where, but no token.

    Example: qelectron token list
    """
    from qelectron_core.tokens.rows import rows

    found = rows()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("there are no tokens. Keep one: qelectron token set NAME")
    for row in found:
        profile = f" (profile {row['profile']!r})" if row["profile"] else ""
        click.echo(f"{row['name']}{profile}: {row['place']}")


@token.command()
@click.argument("name")
@_profile
def remove(name: str, *, profile: str | None) -> None:
    """Forget a token.

    Example: qelectron token remove ibm
    """
    from qelectron_core.tokens import keeping

    profile = _chosen(profile)
    if not keeping.remove(name, profile):
        message = f"no token {name!r} of profile {profile!r} is kept. "
        raise ConfigError(f"{message}See: qelectron token list")
    click.echo(f"token {name!r} (profile {profile!r}) is forgotten")


@token.command()
@click.argument("name")
@_profile
def check(name: str, *, profile: str | None) -> None:
    """Ask the vendor whether it takes a token, in one cheap call.

    Example: qelectron token check ibm
    """
    from qelectron_core.tokens.vendor import find_token

    vendor = _vendor(name)
    found = find_token(name, vendor, profile)
    if found is None:
        message = f"there is no token {name!r}. Keep one: qelectron token set {name}"
        raise ConfigError(message)
    place, secret = found
    try:
        said = vendor.check(secret)
    except Exception as error:
        # Raised without what led to it, which may quote the token.
        why = secret.hide_in(f"{type(error).__name__}: {error}")
        failure = ConfigError(f"token {name!r} from {place}: {why}")
    else:
        click.echo(f"token {name!r} from {place}: {secret.hide_in(said)}")
        return
    raise failure


def _ask(name: str, vendor: VendorTokens) -> str:
    """Return a token that somebody types, unseen, or that comes by a pipe."""
    if sys.stdin.isatty():
        where = f" (from {vendor.page})" if vendor.page else ""
        given = click.prompt(f"Token of {name}{where}", hide_input=True, type=str)
    else:
        given = _line()
    given = given.strip()
    if not given or not given.isprintable() or any(map(str.isspace, given)):
        message = "this is no token. Expected one text without spaces and characters "
        raise ConfigError(f"{message}that do not show.")
    return str(given)


def _line() -> str:
    try:
        return sys.stdin.readline()
    except UnicodeDecodeError:  # which holds what was read
        return ""


def _vendor(name: str) -> VendorTokens:
    from qelectron_core.registry import registry

    found: VendorTokens = registry().resolve("token", name)
    return found


def _chosen(profile: str | None) -> str:
    from qelectron_core.config.layers import setting

    return profile or str(setting("profile"))


def _set_variables(vendor: VendorTokens) -> list[str]:
    from qelectron_core.tokens.vendor import token_of_environment

    found = token_of_environment(vendor)
    return [] if found is None else [found[0]]
