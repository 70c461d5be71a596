"""Drawing a map: ours against plain geopandas, in the same run.

    python benchmarks/bench_maps.py [--repeat 5]

Plain geopandas draws the same ground, lines and names where they fall, with no layout, key or
locator. What is printed is the ratio of CPU times and whether a map keeps to its budget.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from datetime import date

import geopandas as gpd
import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

from helpers import changes, plates, publishers, reference, settlements, snapshots, style
from helpers.changes import SectorChange
from helpers.projection import STORAGE_CRS
from helpers.workspace import Workspace

DAYS = date(2024, 12, 8), date(2025, 1, 8)
# CPU seconds for the PNG of one rendition.
BUDGET_S = 0.5


def plain(change: SectorChange) -> bytes:
    """As anybody would: layers, lines, names, savefig."""
    table = reference.settlements()
    points = gpd.points_from_xy(table["lon"], table["lat"])
    places = gpd.GeoDataFrame(table, geometry=points, crs=STORAGE_CRS)
    figure, ax = plt.subplots(figsize=(8, 6.5))
    layers = ((change.after, "#E6D3C3"), (change.gained, "#C8431B"), (change.lost, "#2878B5"))
    for ground, colour in layers:
        if not ground.is_empty:
            series = gpd.GeoSeries([ground], crs=STORAGE_CRS)
            series.to_crs(change.sector.crs).plot(ax=ax, color=colour)
    for lines in (change.after.boundary, change.before.boundary, reference.border()):
        gpd.GeoSeries([lines], crs=STORAGE_CRS).to_crs(change.sector.crs).plot(ax=ax, color="k")
    x0, y0, x1, y1 = change.sector.bounds_m
    ax.set(xlim=(x0, x1), ylim=(y0, y1), title="Change")
    metres = places.to_crs(change.sector.crs)
    metres.plot(ax=ax, color="k", markersize=4)
    for name, spot in zip(metres["name"], metres.geometry, strict=True):
        if x0 < spot.x < x1 and y0 < spot.y < y1:
            ax.annotate(name, (spot.x, spot.y))
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150)
    plt.close(figure)
    return buffer.getvalue()


def cost(work: Callable[[], object], repeat: int) -> float:
    """Median CPU time; the first run, which loads fonts, does not count."""
    spent = []
    for _ in range(repeat + 1):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent[1:])


def main() -> None:
    """Compare the shipped sectors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    ws = Workspace.find()
    source = publishers.source(ws, "reconstruction")
    snapshots.ensure(ws, source.id)
    before, after = (snapshots.load(ws, source.id, day) for day in DAYS)
    themes = dict(style.THEMES)
    for sector in reference.sectors().values():
        change = changes.in_sector(
            sector, before, after, source=source, border=reference.outer_edges()
        )
        moved = settlements.changed(
            before.tier(change.tier),
            after.tier(change.tier),
            reference.settlements(),
            within=sector.polygon,
        )
        ours = cost(lambda c=change, m=moved: plates.sector_map(c, m), repeat) / (2 * len(themes))
        theirs = cost(lambda c=change: plain(c), repeat)
        kept = "within" if ours <= BUDGET_S else "OVER"
        print(f"{sector.key}: plain geopandas takes {theirs / ours:.1f} times the CPU time of one")
        print(f"  of our {2 * len(themes)} files, {ours / BUDGET_S:.2f} of the budget: {kept}")


if __name__ == "__main__":
    main()
