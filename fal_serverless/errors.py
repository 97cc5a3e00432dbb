"""Every error a user can meet. Each says what failed, why, and what to do next.

The tree::

    FalServerlessError
    ├── UsageError              exit 2   the command, decorator or configuration is wrong
    │   ├── SpecError                    an option of a decorator
    │   ├── DiscoveryError               FILE or FUNC of a command
    │   ├── RequirementsError            requirements that cannot be resolved for the target
    │   ├── PackageTooLargeError         above what Lambda takes
    │   ├── ArchitectureError            a binary made for another platform
    │   └── SerializationError           a function or value that cannot be pickled
    │       └── PythonMismatchError      it was pickled by another Python than is there
    ├── NotFoundError           exit 3   no such revision, alias, key, stack …
    ├── AuthError               exit 4   credentials missing, expired or not allowed
    ├── ConflictError           exit 5   somebody else holds or changed it, or it is in use
    └── OperationError          exit 1   the operation was understood, and failed
        ├── AwsError                     AWS refused or did not answer
        ├── PackagingError               uv, a wheel or an archive failed
        ├── LocalStackError              the embedded stack
        ├── StackError                   CloudFormation
        └── RemoteError                  a remote call of a function
            ├── RemoteTimeoutError       it took too long
            ├── RemoteCrashError         its process died
            │   └── RemoteMemoryError    … because memory ran out
            ├── ThrottledError           Lambda did not take it
            └── MissingDependencyError   its environment lacks a module
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class FalServerlessError(Exception):
    """Base of all errors meant for a user.

    Attributes:
        message: one line, what failed.
        reason: one line, why.
        hint: one line, the next step.
        code: stable snake-case name, used in ``--json`` output.
        exit_code: exit status of the command that met it.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, reason: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  reason: {self.reason}\n  hint: {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not pickle by themselves.
        return (_rebuild, (type(self), self.message, self.reason, self.hint))


def _rebuild(
    cls: type[FalServerlessError], message: str, reason: str, hint: str
) -> FalServerlessError:
    return cls(message, reason=reason, hint=hint)


class UsageError(FalServerlessError):
    """The command, decorator or configuration is wrong."""

    code = "usage"
    exit_code = 2


class SpecError(UsageError):
    """A decorator option has a value that cannot work."""

    code = "invalid_option"


class DiscoveryError(UsageError):
    """FILE or FUNC does not lead to a decorated function."""

    code = "discovery"


class RequirementsError(UsageError):
    """The requirements cannot be resolved for the target."""

    code = "requirements"


class PackageTooLargeError(UsageError):
    """The package is above what Lambda takes."""

    code = "package_too_large"


class ArchitectureError(UsageError):
    """A file is built for another platform than the target."""

    code = "wrong_architecture"


class SerializationError(UsageError):
    """A function, argument or result cannot be pickled, or must not be unpickled."""

    code = "serialization"


class PythonMismatchError(SerializationError):
    """A call met another Python than the one that pickled it."""

    code = "python_mismatch"


class NotFoundError(FalServerlessError):
    """No such revision, alias, key, function or stack."""

    code = "not_found"
    exit_code = 3


class AuthError(FalServerlessError):
    """Credentials are missing, expired, or not allowed to do this."""

    code = "not_authorised"
    exit_code = 4


class ConflictError(FalServerlessError):
    """Somebody else holds or changed it, or it is in use."""

    code = "conflict"
    exit_code = 5


class OperationError(FalServerlessError):
    """The operation was understood, and failed."""

    code = "failed"


class AwsError(OperationError):
    """AWS refused a request, or did not answer."""

    code = "aws"


class PackagingError(OperationError):
    """uv, a wheel or an archive failed."""

    code = "packaging"


class LocalStackError(OperationError):
    """The embedded stack cannot start, or does not answer."""

    code = "local_stack"


class StackError(OperationError):
    """CloudFormation could not do what was asked."""

    code = "stack"


class RemoteError(OperationError):
    """A remote call of a function failed outside the function's own code."""

    code = "remote"


class RemoteTimeoutError(RemoteError):
    """A remote call took longer than its timeout."""

    code = "remote_timeout"


class RemoteCrashError(RemoteError):
    """The process of a remote call died, for example without memory."""

    code = "remote_crash"


class RemoteMemoryError(RemoteCrashError, MemoryError):
    """A remote call needed more memory than its machine type has."""

    code = "out_of_memory"


class ThrottledError(RemoteError):
    """AWS would not take a call, however long it was waited for."""

    code = "throttled"


class MissingDependencyError(RemoteError, ModuleNotFoundError):
    """A remote call needs a module that its environment does not have."""

    code = "missing_dependency"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``word``, or None."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest one, or all of them."""
    names = sorted(known)
    near = nearest(word, names)
    if near:
        return f"did you mean {near!r}?"
    return "known names: " + ", ".join(names) if names else "there are none"
