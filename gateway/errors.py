"""Errors that Steward raises on purpose.

StewardError
├── BadInput          what a person gave is wrong; carries file, line, field and what to do (exit code 2)
├── Problems          several of them at once, e.g. everything that is wrong with a site file (exit code 2)
├── WorkFailed        the work itself failed (exit code 1)
│   ├── Retryable     try again later; back-off is the caller's
│   └── Permanent     trying again cannot help
├── Refused           a command that the state, the version or the role does not allow
│   ├── Conflict      somebody else was first (HTTP 409)
│   ├── Forbidden     the role or scope does not allow it (HTTP 403)
│   └── NotFound      no such thing in the caller's scope (HTTP 404)
└── MissingExtra      an optional part is not installed
"""

from __future__ import annotations


class StewardError(Exception):
    """Base of every error that Steward raises on purpose."""


class BadInput(StewardError):
    """Something a person wrote is wrong: where it is, which field, and what to do about it."""

    def __init__(
        self, message: str, *, file: str = "", line: int = 0, field: str = "", hint: str = ""
    ) -> None:
        self.message, self.file, self.line, self.field, self.hint = message, file, line, field, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        field = f"{self.field}: " if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{field}{self.message}{hint}"


class Problems(StewardError):
    """All that is wrong with a file, in the order of its lines."""

    def __init__(self, problems: list[BadInput]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.file, p.line))
        super().__init__("\n".join(str(p) for p in self.problems))


class WorkFailed(StewardError):
    """The input was fine, the work failed."""


class Retryable(WorkFailed):
    """May succeed when tried again."""


class Permanent(WorkFailed):
    """Trying again cannot help."""


class Refused(StewardError):
    """A command that cannot be carried out now, with the reason for the person who gave it."""


class Conflict(Refused):
    """The thing has changed since the caller looked at it."""


class Forbidden(Refused):
    """The caller's role or scope does not allow it."""


class NotFound(Refused):
    """There is no such thing, or not within the caller's scope."""


class MissingExtra(StewardError):
    """An optional part is not installed; the message names the extra."""
