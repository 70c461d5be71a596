"""Compare areas that news agencies and map projects published with those measured from maps.

    FRONTLINE_SHARED_DATA=... python scripts/compare_published.py > docs/published.md

Reads `published/figures.csv` and the snapshots beside it. Prints the page: every figure of a period
for which there are maps, what was measured, and what each includes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pandas as pd

from helpers import ingest, measures, reference, snapshots, sources
from helpers.workspace import Workspace

# A map at most this far from the end of a period speaks for it.
NEAR = pd.Timedelta(days=2)

PAGE = """\
# Published figures and ours

What agencies and map projects published of a period, beside what this project measures from
publishers' maps of the same period. `scripts/compare_published.py` writes this page from the
publishers' files, which are not part of the project, and a test compares the two.

{table}

The same words do not mean the same ground:

- **AFP** counts from ISW's maps. The figures as recorded do not state whether losses are deducted
  or which of ISW's layers are counted; its months of Ukraine leave out Kursk Oblast.
- **ISW**'s own months include Kursk Oblast, where ground that Russian forces took back counts as a
  gain. DeepState's map has nothing of Kursk Oblast, so that its number beside ISW's is smaller by
  design.
- **DeepState** publishes the net change of its own map by the month. Its maps are measured here by
  assessed day: the last map of the month against the last of the month before.
- **Gained** counts every piece of ground that came to lie inside, a day at a time, and **net**
  takes off what came to lie outside. Where ground changes hands twice, gained exceeds net.
- For Kursk Oblast, Liveuamap's losses outside Ukraine stand for what Ukrainian forces held, inside
  the frame of the sector.
"""


def levels(folder: Path) -> dict[str, pd.DataFrame]:
    """Measures of all that is told of Ukraine (DeepState) and of Kursk (Liveuamap), by day."""
    with tempfile.TemporaryDirectory() as root:
        ws = Workspace.at(root)
        ws.raw.mkdir(parents=True)
        tables = {}
        for source, sectors in (("deepstate", ()), ("liveuamap", ("kursk",))):
            (ws.raw / source).symlink_to(folder / source)
            ingest.run(ws, source)
            known = snapshots.days(ws, source)
            tables[source] = measures.daily(
                snapshots.window(ws, source, known[0], known[-1]),
                [reference.sector(key) for key in sectors],
                source=sources.get(source),
                border=reference.outer_edges(),
                whole=not sectors,
            ).set_index("day")
    return {"Ukraine": tables["deepstate"], "Kursk Oblast": tables["liveuamap"]}


def row(figure: pd.Series, known: dict[str, pd.DataFrame]) -> dict[str, str] | None:
    """One line of the table; None where no map is near the ends of the period."""
    table = known["Kursk Oblast" if figure["scope"] == "Kursk Oblast" else "Ukraine"]
    start, end = figure["period_start"], figure["period_end"]
    last = table.index[table.index <= end].max()
    if pd.isna(last) or end - last > NEAR:
        return None
    line = {
        "figure": f"{figure['publisher']}, {start:%Y-%m-%d} to {end:%Y-%m-%d}",
        "of": f"{figure['measure']}, {figure['scope']}",
        "published": f"{figure['value_km2']:,.0f}",
    }
    if figure["measure"].startswith("held"):
        line["figure"] = f"{figure['publisher']}, {end:%Y-%m-%d}"
        level = table.loc[last, "area_km2"]
        return line | {
            "measured": f"{level:,.0f}",
            "source, maps": f"Liveuamap, {last:%Y-%m-%d}",
        }
    # A period that ends on the first of a month is a month that ends the day before.
    first = table.index[table.index < start].max()
    if end.day == 1:
        last = table.index[table.index < end].max()
    if pd.isna(first) or start - first > NEAR + pd.Timedelta(days=1):
        return None
    inside = table[(table.index > first) & (table.index <= last)]
    return line | {
        "measured": f"net {inside['net_km2'].sum():,.1f}, gained {inside['gained_km2'].sum():,.1f}",
        "source, maps": f"DeepState, {first:%Y-%m-%d} to {last:%Y-%m-%d}",
    }


def page(folder: Path) -> str:
    """The page, from the publishers' files in a folder."""
    figures = pd.read_csv(
        folder / "published" / "figures.csv", parse_dates=["period_start", "period_end"]
    )
    known = levels(folder)
    lines = [line for _, figure in figures.iterrows() if (line := row(figure, known))]
    head = list(lines[0])
    cells = [[f"{name}, km²" if name in ("published", "measured") else name for name in head]]
    cells += [["---" if name == "figure" else "--:" for name in head]]
    cells += [list(line.values()) for line in lines]
    table = "\n".join("| " + " | ".join(line) + " |" for line in cells)
    return PAGE.format(table=table)


if __name__ == "__main__":
    if "FRONTLINE_SHARED_DATA" not in os.environ:
        sys.exit("Set FRONTLINE_SHARED_DATA to a folder with published/, deepstate/, liveuamap/.")
    sys.stdout.write(page(Path(os.environ["FRONTLINE_SHARED_DATA"])))
