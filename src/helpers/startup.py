"""What a process does before it imports Jupyter."""

from __future__ import annotations

import sys


def skip_grammar() -> None:
    """Keep jsonschema from loading rfc3987_syntax, which builds a grammar when it is imported.

    It would check addresses of the IRI kind, of which no notebook has one; building takes longer
    than all other imports of a command. Nothing happens where it is loaded already.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
