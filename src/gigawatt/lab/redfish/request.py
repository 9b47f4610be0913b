"""One request as a resource sees it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gigawatt.lab.redfish.accounts import Account
from gigawatt.lab.redfish.answer import Json, RefusedError, said
from gigawatt.lab.redfish.simulated import SimulatedBmc


@dataclass(frozen=True)
class Request:
    """A request that was let in.

    Fields: account is who asks, None where nobody needs to log in; names are the parts of the
    path that vary.
    """

    bmc: SimulatedBmc
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    account: Account | None
    names: tuple[str, ...] = ()

    def may(self, privilege: str) -> bool:
        """Whether who asks has a privilege."""
        return self.account is not None and privilege in self.bmc.accounts.privileges_of(
            self.account
        )

    def must(self, *privileges: str) -> None:
        """Refuse whoever has none of these privileges.

        Raises:
            RefusedError: who asks has none.
        """
        if not any(map(self.may, privileges)):
            raise RefusedError(
                403, "InsufficientPrivilege", f"this needs {' or '.join(privileges)}"
            )

    def passed_over(self, writable: Collection[str]) -> Json:
        """What the answer must say of properties that cannot be changed; nothing if all can.

        Raises:
            RefusedError: none of them can.
        """
        named = {name for name in self.body if not name.startswith("@")}
        if self.body and not named:
            raise RefusedError(400, "NoOperation", "nothing to change was named")
        others = sorted(named - set(writable))
        if others and len(others) == len(named):
            raise RefusedError(400, "PropertyUnknown", f"cannot be changed: {', '.join(others)}")
        words = [said("PropertyUnknown", f"{name} cannot be changed", "Warning") for name in others]
        return {"@Message.ExtendedInfo": words} if words else {}

    def value(self, name: str, kind: type, default: Any = None) -> Any:  # noqa: ANN401 - JSON
        """A property of the body.

        Raises:
            RefusedError: it is of another type, or missing without a default.
        """
        value = self.body.get(name, default)
        if value is None:
            raise RefusedError(400, "PropertyMissing", f"{name} is missing")
        if not isinstance(value, kind):
            raise RefusedError(400, "PropertyValueTypeError", f"{name} is no {kind.__name__}")
        return value
