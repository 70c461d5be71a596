"""The few exceptions of the project.

All are children of `ValueError`, so that a caller who knows nothing of them still catches them. A
message says what is wrong, where (path, day, value), and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FrontlineError(ValueError):
    """Base of every error that this project raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: what is wrong and what to do, not the lines that found it."""
        return [f"{type(self).__name__}: {self}"]


class SnapshotError(FrontlineError):
    """A published file, or the day asked for, cannot be used."""


class SourceError(FrontlineError):
    """A source's description, or its overrides, cannot be used."""


class SchemaError(FrontlineError):
    """A table does not have the shape its room promises."""


class ParameterError(FrontlineError):
    """A parameter of a notebook, a command or a function is not possible."""


class WorkspaceError(FrontlineError):
    """A folder or file that the work needs is not there, or not usable."""


class ReportError(FrontlineError):
    """A notebook of a report failed, or its outputs are not complete."""


class FetchError(FrontlineError):
    """A publisher did not answer, or not with what was asked for."""


def unknown(kind: str, value: str, known: Iterable[str]) -> ParameterError:
    """Make the error for a name that is not one of a known few.

    Parameters
    ----------
    kind
        What the name should name, such as ``"sector"``.
    value
        The name given.
    known
        The names there are.

    Returns
    -------
    ParameterError
        Its message lists the known names and, where one is near, suggests it.
    """
    names = sorted(known)
    close = get_close_matches(value.lower(), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ParameterError(f"Unknown {kind} {value!r}.{hint} Known: {', '.join(names) or 'none'}.")
