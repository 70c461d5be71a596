"""A table shown to a person: caption, units in the header, formatted numbers, escaped text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from html import escape
from numbers import Integral
from typing import Any

import pandas as pd

# A column's unit follows from its suffix; the header says it once.
_UNITS = {"_km2": "km²", "_km": "km", "_days": "days", "_deg": "°", "_share": "%"}
_MINUS = "\N{MINUS SIGN}"
_MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A data frame with the words a reader needs.

    Attributes
    ----------
    frame
        The numbers, one row a line; the index is not shown.
    caption
        What the table says, with source and day.
    labels
        Column name to header; a column that is not named gets its own name, without the unit.
    signed
        Columns whose numbers carry their sign ("+1.2").
    """

    frame: pd.DataFrame
    caption: str
    labels: Mapping[str, str] = field(default_factory=dict)
    signed: tuple[str, ...] = ()

    def header(self, column: str) -> str:
        """Header of a column, unit included."""
        for suffix, unit in _UNITS.items():
            if column.endswith(suffix):
                name = self.labels.get(column, column.removesuffix(suffix).replace("_", " "))
                return f"{name}, {unit}"
        return self.labels.get(column, column.replace("_", " "))

    def cell(self, column: str, value: Any) -> str:
        """One value as text."""
        if value is None or pd.isna(value):
            return _MISSING
        if isinstance(value, date):  # a Timestamp is one, too
            return value.isoformat()[:10]
        if column.endswith("_share"):
            return f"{100 * float(value):.0f}"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return value
        text = f"{value:,}" if isinstance(value, Integral) else f"{value:,.1f}"
        if text.strip("-0.,") == "":
            text = text.lstrip("-")
        elif column in self.signed and not text.startswith("-"):
            text = "+" + text
        return text.replace("-", _MINUS)

    def rows(self) -> list[list[str]]:
        """All cells as text, row by row."""
        columns = [str(c) for c in self.frame.columns]
        return [
            [self.cell(column, value) for column, value in zip(columns, row, strict=True)]
            for row in self.frame.astype(object).itertuples(index=False, name=None)
        ]

    def _numeric(self) -> list[bool]:
        return [
            pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
            for dtype in self.frame.dtypes
        ]

    def _repr_html_(self) -> str:
        numeric = self._numeric()
        kinds = [' class="number"' if n else "" for n in numeric]
        heads = "".join(
            f'<th scope="col"{kind}>{escape(self.header(str(column)))}</th>'
            for column, kind in zip(self.frame.columns, kinds, strict=True)
        )
        body = []
        for cells in self.rows():
            first = f'<th scope="row"{kinds[0]}>{escape(cells[0])}</th>' if cells else ""
            rest = "".join(
                f"<td{kind}>{escape(cell)}</td>"
                for cell, kind in zip(cells[1:], kinds[1:], strict=True)
            )
            body.append(f"<tr>{first}{rest}</tr>")
        if not body:
            body.append(f'<tr><td colspan="{max(len(kinds), 1)}">None.</td></tr>')
        return (
            f'<table class="figures"><caption>{escape(self.caption)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )

    def __repr__(self) -> str:
        lines = [[self.header(str(c)) for c in self.frame.columns], *self.rows()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        numeric = self._numeric()
        text = [
            "  ".join(
                cell.rjust(width) if n else cell.ljust(width)
                for cell, width, n in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.caption, *text])
