"""The server: for others, or for this computer alone."""

import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType

from gigawatt.app.home import Home
from gigawatt.app.server import APPLICATION, ServerOptions, Tls, load_application, serve
from gigawatt.app.service import Service, make_first_key, site_organisation
from gigawatt.app.serving import serving, wait_for_ctrl_c
from gigawatt.cli.output import console
from gigawatt.cli.settings import config_path
from gigawatt.cli.work.profiles import Profile, Profiles, read_profiles, write_profiles
from gigawatt.errors import ConflictError, InputError
from gigawatt.identity.accounts import AccountRole
from gigawatt.units import DAY_S

UP_PROFILE = "up"


def serve_home(
    listen: str,
    times_s: tuple[float, float],
    tls_files: tuple[Path | None, Path | None],
    *,
    has_lambda_parity: bool,
) -> None:
    """Serve until told to stop.

    ``times_s`` are the grace at the end and the time between passes of the reconciler;
    ``tls_files`` are a certificate and its key, or nothing.

    Raises:
        InputError: one of the two files was named without the other.
    """
    certificate, key = tls_files
    if (certificate is None) != (key is None):
        raise InputError("--tls-cert and --tls-key go together", next_step="Name both, or none.")
    tls = None if certificate is None or key is None else Tls(certificate, key)
    options = ServerOptions(listen, tls, has_lambda_parity, *times_s)
    serve(Home.default(), APPLICATION, options)


def _own_key(service: Service) -> str:
    """A key for whoever owns the files, who could make one anyway; it lasts for a day.

    Raises:
        ConflictError: the site has no operator any more.
    """
    if service.directory.is_empty():
        return make_first_key(service, "operator")
    owner = site_organisation(service.directory)
    if owner is not None:
        for account in service.directory.accounts(owner, "", 10_000):
            if account.role is AccountRole.OPERATOR:
                end_s = service.now_s() + DAY_S
                return service.new_key(account.account_id, "gw up", expires_s=end_s)[1]
    raise ConflictError("the site has no operator", next_step="Make one: gw member add NAME.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def up(listen: str) -> None:
    """Serve for this computer alone, as the current profile, until told to stop."""
    signal.signal(signal.SIGTERM, _interrupt)
    with serving(Home.default(), load_application(APPLICATION), listen) as served:
        key, before = _own_key(served.service), read_profiles()
        profile = Profile(served.url, key)
        write_profiles(Profiles(UP_PROFILE, {**before.by_name, UP_PROFILE: profile}))
        console.print(f"Open {served.url} in a browser and sign in with this key:\n")
        console.print(f"  {key}\n", soft_wrap=True)
        console.print("There, 'Launch' shows a plan and its price before anything happens.")
        console.print(
            f"Commands in other terminals talk to it too, with the key in {config_path()}.",
            soft_wrap=True,
        )
        console.print("  next: gw cluster list\nPress Ctrl-C to stop it.")
        try:
            with suppress(KeyboardInterrupt):
                wait_for_ctrl_c()
        finally:
            now = read_profiles()
            rest = {name: p for name, p in now.by_name.items() if name != UP_PROFILE}
            current = before.current if now.current == UP_PROFILE else now.current
            write_profiles(replace(now, current=current, by_name=rest))
