"""Draw every figure in every situation, and put them side by side on contact sheets.

    python scripts/gallery.py [FOLDER]

From the embedded sample; FOLDER is reports/gallery by default. Losses and the smallest gain are
made of the sample's maps too: the first by exchanging two days, the second by cutting a gain down.
Look at `sheet-wide.png` and `sheet-phone.png` first, then at each figure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import shapely
from PIL import Image

from helpers import (
    changes,
    dossiers,
    findings,
    inspection,
    measures,
    plates,
    publishers,
    reference,
    series,
    settlements,
    snapshots,
)
from helpers.changes import SectorChange
from helpers.figures import FigureSet
from helpers.reference import Sector
from helpers.schema import Snapshot
from helpers.workspace import Workspace

DAYS = date(2024, 12, 8), date(2025, 1, 8)
SERIES = date(2024, 10, 1), date(2025, 1, 8)
# One column of a contact sheet, pixels.
COLUMN = {"wide": 800, "phone": 390}


def cases(
    sector: Sector, maps: tuple[Snapshot, Snapshot]
) -> Iterator[tuple[str, Snapshot, Snapshot]]:
    """Situations of a sector: name, map before, map after."""
    before, after = maps
    tier = "ukrainian_held" if sector.measure == "ukrainian_held" else "assessed_control"
    there, here = before.layers[tier], after.layers[tier]
    yield "gain", before, after
    yield "loss", redated(after, before.day), redated(before, after.day)
    yield "none", before, replace(before, day=after.day)
    moved = shapely.difference(there, here) if tier == "ukrainian_held" else here - there
    inland = moved.intersection(sector.polygon) - reference.border().buffer(0.05)
    piece = max(shapely.get_parts(inland), key=shapely.area)
    little = piece.representative_point().buffer(0.012).intersection(piece)
    tiny = there - little if tier == "ukrainian_held" else shapely.union(there, little)
    layers = before.layers | {tier: tiny}
    yield "tiny", before, replace(before, day=after.day, layers=layers)


def redated(snapshot: Snapshot, day: date) -> Snapshot:
    """A map under another day."""
    return replace(snapshot, day=day)


def sector_maps(ws: Workspace) -> Iterator[tuple[str, FigureSet]]:
    """Maps of the three sectors in all situations."""
    source = publishers.source(ws, "reconstruction")
    maps = tuple(snapshots.load(ws, source.id, day) for day in DAYS)
    places = reference.settlements()
    for sector in reference.sectors().values():
        for case, before, after in cases(sector, maps):
            change: SectorChange = changes.in_sector(
                sector, before, after, source=source, border=reference.outer_edges()
            )
            grounds = (before.tier(change.tier), after.tier(change.tier))
            moved = settlements.changed(
                *grounds, places, within=sector.polygon, positional_error_m=1500
            )
            yield (
                case,
                plates.sector_map(change, moved, claimed=after.layers.get("claimed_control")),
            )
        yield "no-map", plates.no_data_map(findings.NoData(sector, source, DAYS[1], "no_map"))


def charts(ws: Workspace) -> Iterator[tuple[str, FigureSet]]:
    """Charts of the three sectors, the small multiples, and the calendar."""
    source = publishers.source(ws, "reconstruction")
    sectors = list(reference.sectors().values())
    days = snapshots.window(ws, source.id, *SERIES, lead_in=True)
    table = measures.daily(days, sectors, source=source, border=reference.outer_edges())
    gap = table["day"].between("2024-11-10", "2024-11-16")
    for case, rows in (("days", table), ("gap", table[~gap])):
        if case == "gap":
            kept = [day for day in days if not date(2024, 11, 10) <= day.day <= date(2024, 11, 16)]
            rows = measures.daily(kept, sectors, source=source, border=reference.outer_edges())
        of = dict(list(rows.groupby("sector")))
        stories = [
            findings.SectorSeries(s, source, series.calendar(of[s.key], *SERIES)) for s in sectors
        ]
        for story in stories:
            yield case, plates.advance_series(story, marks=(DAYS[0], DAYS[1]))
        weeks = {s.name: series.totals(of[s.key], "W-SUN") for s in sectors}
        yield case, plates.advance_sectors(stories, weeks)
    yield "days", plates.calendar(source, inspection.inspect(ws, source.id).days)


def told(ws: Workspace) -> Iterator[tuple[str, FigureSet]]:
    """Claims on a day when much is contested, and on one when it is settled; sources."""
    source = publishers.source(ws, "reconstruction")
    sectors = list(reference.sectors().values())
    for case, day in (("contested", DAYS[1]), ("settled", date(2025, 1, 25))):
        dossier = dossiers.on_claims(ws, source, day, sectors)
        for key in dossier.sectors:
            yield (
                case,
                plates.claims_map(
                    dossier.unchanged(key), dossier.of_sector(key), dossier.not_assessed(key)
                ),
            )
        bands = plates.claim_bands(dossier.followed, dossier.histories)
        yield case, plates.claims_timeline(bands, dossier.followed, source, day)
    pairs, _ = dossiers.on_sources(ws, dossiers.others(ws, source.id), DAYS[1], sectors)
    for pair, timed in zip(pairs, dossiers.over_time(ws, pairs, *SERIES), strict=True):
        yield "sources", plates.agreement_map(pair.found, granted=pair.granted)
        yield "sources", plates.agreement_levels(pair.found, timed.calendars, [DAYS[1]])


def sheet(paths: list[Path], column: int, columns: int = 3) -> Image.Image:
    """Pictures side by side, in rows."""
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            height = round(picture.height * column / picture.width)
            pictures.append(picture.convert("RGB").resize((column, height)))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    heights = [max(p.height for p in row) for row in rows]
    page = Image.new("RGB", (columns * (column + 20), sum(heights) + 20 * len(rows)), "#999999")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for number, picture in enumerate(row):
            page.paste(picture, (10 + number * (column + 20), top + 10))
        top += height + 20
    return page


def main() -> None:  # noqa: D103
    ws = Workspace.find()
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ws.reports / "gallery"
    snapshots.ensure(ws, "reconstruction")
    pngs: dict[str, list[Path]] = {rendition: [] for rendition in COLUMN}
    for case, figure in (*sector_maps(ws), *charts(ws), *told(ws)):
        for path in figure.save(out / case):
            for rendition, paths in pngs.items():
                if path.name.endswith(f"-{rendition}.png"):
                    paths.append(path)
    for rendition, paths in pngs.items():
        sheet(paths, COLUMN[rendition]).save(out / f"sheet-{rendition}.png")
        print(out / f"sheet-{rendition}.png")


if __name__ == "__main__":
    main()
