"""What a store of storage quotas must offer. Every method is one transaction."""

from typing import Protocol

from gigawatt.ids import TenantId


class StorageQuotas(Protocol):
    """Bytes of storage that each project may be promised at once."""

    def granted_bytes(self, project_id: TenantId) -> int:
        """What a project may have; the default if nobody granted it anything."""
        ...

    def grant(self, project_id: TenantId, granted_bytes: int) -> None:
        """Grant a project another number of bytes; what it has beyond them stays.

        Raises:
            UnknownIdError: no such project.
        """
        ...

    def total_granted_bytes(self) -> int:
        """What all projects together may have."""
        ...
