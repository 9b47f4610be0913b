"""Reads the operator's login settings, and our secret at the provider, from files."""

import os
import stat
from pathlib import Path

from gigawatt.app.home import Home, read_text
from gigawatt.errors import InputError
from gigawatt.identity.provider import LoginSettings, parse_settings


def read_settings(home: Home) -> LoginSettings | None:
    """The login settings of a home, None when there are none and people use API keys alone.

    Raises:
        InputError: the file cannot be read, or says which field is wrong.
    """
    if not home.login_path.exists():
        return None
    return parse_settings(read_text(home.login_path), home.login_path.name)


def read_secret(settings: LoginSettings) -> str:
    """Our secret at the provider.

    Raises:
        InputError: the file or variable is absent or empty, or everybody can read the file.
    """
    variable = settings.client_secret_variable
    if variable is not None:
        return _not_empty(os.environ.get(variable, ""), f"environment variable {variable}")
    path = Path(settings.client_secret_file or "")
    text = read_text(path)
    if path.stat().st_mode & stat.S_IROTH:
        raise InputError(
            f"{path} can be read by everybody on this computer",
            next_step=f"Run 'chmod 600 {path}', and change the secret at the provider.",
        )
    return _not_empty(text, str(path))


def _not_empty(text: str, what: str) -> str:
    if not text.strip():
        raise InputError(
            f"{what} holds no client secret", next_step="Put in the secret that the provider gave."
        )
    return text.strip()
