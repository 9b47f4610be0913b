"""Every error that Gigawatt raises on purpose, in one tree.

    GigawattError
    ├ InputError              the caller is wrong, nothing changed        exit 2
    │ ├ UnknownIdError        an id names nothing                         exit 2
    │ ├ UnauthenticatedError  no API key, or one that is not in force     exit 2
    │ ├ ForbiddenError        the role does not allow it                  exit 2
    │ ├ QuotaError            more than the project may hold              exit 2
    │ ├ ImpossibleError       would not fit an empty fleet either         exit 2
    │ ├ TooLargeError         the request has more bytes than are read    exit 2
    │ ├ MediaTypeError        the request is not JSON                     exit 2
    │ └ KeyReusedError        an idempotency key came with another body   exit 2
    ├ NoCapacityError         right, but does not fit now                 exit 3
    ├ RateError               too many requests                           exit 3
    ├ ConflictError           another plan was committed first            exit 4
    │ └ VersionError          the object is not of the version named      exit 4
    ├ DriverError             something outside said no                   exit 5
    │ ├ DriverRetryableError  timeout, busy: same step again, bounded
    │ ├ DriverPermanentError  refused, unsupported: unwind
    │ └ StaleGenerationError  the device holds a newer generation: stop
    ├ DriftError              verify found a difference                   exit 6
    ├ UnwindError             an undo failed: nodes are quarantined       exit 7
    └ DataError               a data row or a database is not usable      exit 8
      ├ StorageFullError      the disk is full, nothing was lost          exit 8
      └ OutOfReachError       the database is away now, ask again         exit 8

An outer error says its own sentence only; its cause hangs on ``raise ... from``. A "no" that a
judging function gives is not an error: it returns a report. ``AssertionError`` is our own bug.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

Kind = Literal["tenant", "operator", "system"]


class GigawattError(Exception):
    """Root of every error raised on purpose.

    Attributes:
        exit_code: exit status of the command line for this class, 2 to 8.
        kind: who has to act: "tenant", "operator" or "system".
        next_step: one sentence that tells the reader what to do now.
    """

    exit_code: ClassVar[int] = 1
    kind: Kind = "system"
    next_step: str = "Run the command again; if it persists, report it with the operation id."

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        """Say what, which id, got and wanted in ``message``; what to do now in ``next_step``."""
        super().__init__(message)
        if next_step is not None:
            self.next_step = next_step


class InputError(GigawattError):
    """The caller is wrong and nothing was changed."""

    exit_code = 2
    kind: Kind = "tenant"
    next_step = "Correct the request and send it again."


class UnknownIdError(InputError):
    """An id names nothing."""

    next_step = "List what exists with 'gw cluster list' or 'gw fleet show'."


class UnauthenticatedError(InputError):
    """No API key came, or one that is unknown, expired or revoked."""

    next_step = "Send 'Authorization: Bearer gw_...' with a key that is in force."


class ForbiddenError(InputError):
    """The caller may see the object, but its role does not allow the operation."""

    next_step = "Ask an owner of the organisation for a role that may do this."


class QuotaError(InputError):
    """The project would hold more GPUs, clusters or waiting requests than it may."""

    next_step = "Ask for fewer, release a cluster, or ask the operator for a larger quota."


class ImpossibleError(InputError):
    """What is asked for does not exist here: no such GPUs, or not so many, even if all were free.

    Waiting does not help, so it is refused at once.

    Attributes:
        is_price: it is there, but for more money than was said.
    """

    next_step = "Ask for less, or for another type."

    def __init__(
        self, message: str, *, next_step: str | None = None, is_price: bool = False
    ) -> None:
        """Say whether it is for the price alone."""
        super().__init__(message, next_step=next_step)
        self.is_price = is_price


class TooLargeError(InputError):
    """The request has more bytes than are read."""

    next_step = "Send less in one request."


class MediaTypeError(InputError):
    """The body of the request is of a kind that is not read."""

    next_step = "Send JSON with 'Content-Type: application/json'."


class KeyReusedError(InputError):
    """An idempotency key came again with another request."""

    next_step = "Take a new Idempotency-Key for a new request."


class RateError(GigawattError):
    """The caller sends more requests than it may.

    Attributes:
        retry_after_s: when to try again, in seconds.
    """

    exit_code = 3
    kind: Kind = "tenant"
    next_step = "Wait as long as Retry-After says, then send the request again."

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        """Say how long to wait beside the sentence."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NoCapacityError(GigawattError):
    """The request is right but does not fit now.

    Attributes:
        reasons: why not, one sentence per topology level, widest first.
        would_fit: what would fit instead, one sentence each.
    """

    exit_code = 3
    kind: Kind = "tenant"
    next_step = "Take one of the alternatives, relax a constraint, or wait."

    def __init__(
        self, message: str, *, reasons: Sequence[str] = (), would_fit: Sequence[str] = ()
    ) -> None:
        """Carry the report of the placer beside the sentence."""
        super().__init__(message)
        self.reasons = tuple(reasons)
        self.would_fit = tuple(would_fit)


class ConflictError(GigawattError):
    """Another plan was committed first, so this one no longer holds."""

    exit_code = 4
    next_step = "Plan again: 'gw cluster create' does so by itself up to thirty times."


class VersionError(ConflictError):
    """The object is not of the version that the caller has seen."""

    next_step = "Read it again, and send its version in If-Match."


class DriverError(GigawattError):
    """Something outside said no.

    Attributes:
        device: id of the device that answered, e.g. ``bmc/su03-n07``.
        step: key of the step, empty when the call was not a step.
    """

    exit_code = 5
    kind: Kind = "operator"
    next_step = "Look at the device; the operation was unwound or can be resumed."

    def __init__(
        self, message: str, *, device: str = "", step: str = "", next_step: str | None = None
    ) -> None:
        """Name the device and the step beside the sentence."""
        super().__init__(message, next_step=next_step)
        self.device = device
        self.step = step


class DriverRetryableError(DriverError):
    """Timeout or busy: the effect may or may not have happened; the same call may be repeated."""


class DriverPermanentError(DriverError):
    """Refused or unsupported: repeating the call will not help."""


class StaleGenerationError(DriverError):
    """The device holds a newer generation for this cluster: another worker is ahead, stop."""

    next_step = "Nothing to do: another worker carries this operation on."


class DriftError(GigawattError):
    """What was read back differs from the target.

    Attributes:
        notes: one sentence per difference.
    """

    exit_code = 6
    kind: Kind = "operator"
    next_step = "Run 'gw reconcile'; if the drift returns, quarantine the device."

    def __init__(
        self, message: str, *, notes: Sequence[str] = (), next_step: str | None = None
    ) -> None:
        """Carry the differences beside the sentence."""
        super().__init__(message, next_step=next_step)
        self.notes = tuple(notes)


class UnwindError(GigawattError):
    """An undo failed, so the nodes it concerns are quarantined."""

    exit_code = 7
    kind: Kind = "operator"
    next_step = "Mend the device named above, then run 'gw reconcile'."


class DataError(GigawattError):
    """A row of data, a file or a database cannot be used as it is."""

    exit_code = 8
    kind: Kind = "operator"
    next_step = "Restore the file named above from a copy; it was not changed."


class StorageFullError(DataError):
    """The disk is full; what was committed before is intact."""

    next_step = "Free disk space and run the command again; nothing was lost."


class OutOfReachError(DataError):
    """The database does not answer now; what was under way is wholly done or not at all."""

    next_step = "Bring the database back; a request with its Idempotency-Key may be sent again."
