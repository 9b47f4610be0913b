"""``gw logout``: back to this computer's own state."""

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def logout() -> None:
    """Forget the key of the current profile, or of the one named with --profile.

    The key stays in force; 'gw key revoke' ends it.

    Example: gw logout
    """
    backend.login.logout()
