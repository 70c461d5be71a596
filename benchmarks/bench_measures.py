"""Measuring sectors day by day: ours against plain geopandas, on the same days in the same run.

    FRONTLINE_SHARED_DATA=... python benchmarks/bench_measures.py [--days 40] [--repeat 1]

Both start from DeepState's raw files, repair them, keep them in GeoParquet and load them again, and
end with a table of each day and sector: area, gain and loss since the day before, gain and loss
since the first day, and the length of the line. Plain geopandas clips each map, and its boundary,
to each sector and takes the differences, both ways. Ours has a gate, slivers, depth and uncertainty
besides. Each run is a process of its own; imports, and laying out an empty workspace, are not
counted. What is printed are ratios of the two in this run, and how far their numbers differ; times
alone say nothing on a shared machine. Only of one day more and of one sector more it is said how
much CPU time they take, and whether that is within their budget.

The newest 40 days take about two minutes. `--days 205 --repeat 2` is what README.md tells of.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import Geod

from helpers import measures, reference, snapshots, sources
from helpers.projection import STORAGE_CRS
from helpers.reference import Sector
from helpers.schema import Snapshot
from helpers.workspace import Workspace

EQUAL_AREA = "ESRI:54034"  # cylindrical: the only kind that keeps boxes in longitude/latitude boxes
TIER = "presence"
# An edge is straight in longitude and latitude; on the plane it is only if it is short.
EDGE_DEGREES = 0.05
# On the whole map the noise of re-exported days, which only ours takes out, is a little more.
AGREE_KM2 = 0.01
AGREE_WHOLE_KM2 = 0.02
AGREE_KM = 0.01
# CPU time of one day, or one sector, more beside all days there are.
BUDGET_MS = 50
GEOD = Geod(ellps="WGS84")


SHIPPED = list(reference.sectors().values())
OBLASTS = list(reference.oblast_sectors())
# Name: sectors, and whether the whole map is measured too.
CASES = {
    "3 sectors and the whole map": (SHIPPED, True),
    "27 oblasts and 2 sectors": (OBLASTS + SHIPPED[:2], False),
}


def files(days: int) -> list[Path]:
    """The newest raw files."""
    folder = Path(os.environ["FRONTLINE_SHARED_DATA"]) / "deepstate"
    return sorted(folder.glob("deepstatemap_data_*.geojson"))[-days:]


def plain_read(folder: Path) -> list[gpd.GeoDataFrame]:
    """Each day repaired, made one, kept as GeoParquet, and loaded again."""
    for path in sorted((folder / "data" / "raw" / "deepstate").iterdir()):
        day = gpd.read_file(path).to_crs(STORAGE_CRS)
        day["geometry"] = day.make_valid().segmentize(EDGE_DEGREES)
        day[["geometry"]].dissolve().to_parquet(folder / f"{path.stem}.parquet")
    return [gpd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]


def plain_measure(
    days: list[gpd.GeoDataFrame], sectors: list[Sector], *, whole: bool
) -> pd.DataFrame:
    """As anybody would: clip, overlay, project, add up."""
    masks = {
        s.key: gpd.GeoDataFrame(geometry=[s.polygon.segmentize(EDGE_DEGREES)], crs=STORAGE_CRS)
        for s in sectors
    }
    before: dict[str, gpd.GeoDataFrame] = {}
    first: dict[str, gpd.GeoDataFrame] = {}
    rows = []
    for number, day in enumerate(days):
        cuts = {key: gpd.clip(day, mask) for key, mask in masks.items()}
        boundary = day.boundary
        lines = {key: gpd.clip(boundary, mask) for key, mask in masks.items()}
        if whole:
            cuts["all"], lines["all"] = day, boundary
        for key, cut in cuts.items():
            row = {"sector": key, "day": number, "area_km2": _plain_km2(cut)}
            row["contact_km"] = sum(map(GEOD.geometry_length, lines[key])) / 1000
            for name, known in (("", before), ("since_", first)):
                other = known.get(key, cut)
                row[f"{name}gained_km2"] = _plain_difference(cut, other)
                row[f"{name}lost_km2"] = _plain_difference(other, cut)
            before[key] = cut
            first.setdefault(key, cut)
            rows.append(row)
    return pd.DataFrame(rows)


def _plain_km2(table: gpd.GeoDataFrame) -> float:
    return float(table.to_crs(EQUAL_AREA).area.sum() / 1e6)


def _plain_difference(table: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> float:
    if table is other:
        return 0.0
    if table.empty or other.empty:
        return _plain_km2(table)
    return _plain_km2(gpd.overlay(table, other, how="difference", keep_geom_type=True))


def our_read(folder: Path) -> list[Snapshot]:
    """Read into an empty store, and load from it."""
    ws = Workspace.at(folder)
    snapshots.ensure(ws, "deepstate")
    return snapshots.window(ws, "deepstate", date(2000, 1, 1), date(2100, 1, 1))


def our_measure(days: list[Snapshot], sectors: list[Sector], *, whole: bool) -> pd.DataFrame:
    """Two tables of ours as one."""
    options = {"source": sources.get("deepstate"), "tier": TIER, "whole": whole}
    table = measures.daily(days, sectors, **options)
    since = measures.since(days, sectors, **options)
    return table.assign(
        since_gained_km2=since["gained_km2"], since_lost_km2=since["lost_km2"]
    ).fillna({"gained_km2": 0, "lost_km2": 0})


ENGINES = {"plain": (plain_read, plain_measure), "ours": (our_read, our_measure)}
PHASES = {"read": "reading", "measure": "measuring", "all": "both"}
AREAS = ["area_km2", "gained_km2", "lost_km2", "since_gained_km2", "since_lost_km2"]


@contextlib.contextmanager
def workspace(paths: list[Path]) -> Iterator[Path]:
    """A workspace with these raw files, and nothing made of them."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "data" / "raw" / "deepstate"
        raw.mkdir(parents=True)
        for path in paths:
            (raw / path.name).symlink_to(path)
        yield Path(folder)


def run(engine: str, case: str, days: int) -> dict[str, object]:
    """One engine in this process."""
    sectors, whole = CASES[case]
    for sector in sectors:
        _ = sector.polygon
    read, measure = ENGINES[engine]
    with workspace(files(days)) as folder:
        clocks = [(time.perf_counter(), time.process_time())]
        maps = read(folder)
        clocks.append((time.perf_counter(), time.process_time()))
        table = measure(maps, sectors, whole=whole)
        clocks.append((time.perf_counter(), time.process_time()))
    spent = {
        f"{what} {phase}": clocks[to][which] - clocks[start][which]
        for which, what in enumerate(("wall", "cpu"))
        for phase, (start, to) in zip(PHASES, ((0, 1), (1, 2), (0, 2)), strict=True)
    }
    spent["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    numbers = {
        key: rows[[*AREAS, "contact_km"]].to_numpy().tolist()
        for key, rows in table.groupby("sector")
    }
    return {**spent, "numbers": numbers}


def in_process(engine: str, case: str, days: int) -> dict[str, object]:
    """One engine in a process of its own."""
    command = [sys.executable, __file__, "--engine", engine, "--case", case, "--days", str(days)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def largest_differences(one: dict, other: dict) -> tuple[dict[str, float], float]:
    """How far two results are apart: areas in km², in sectors and on the whole map, and lengths."""
    assert one.keys() == other.keys()
    apart = {key: np.abs(np.subtract(one[key], other[key])).max(axis=0) for key in one}
    km2: dict[str, float] = {}
    for key, columns in apart.items():
        what = "the whole map" if key == measures.WHOLE else "sectors"
        km2[what] = max(km2.get(what, 0.0), float(columns[:-1].max()))
    return km2, max(float(columns[-1]) for columns in apart.values())


def compare(case: str, days: int, repeat: int) -> None:
    """Run both, alternating, and print the ratios."""
    results: dict[str, list[dict]] = {"plain": [], "ours": []}
    # Ours is over in a second, and that second may be a bad one: it runs before and after.
    for engine in [*["ours", "plain"] * repeat, "ours"]:
        results[engine].append(in_process(engine, case, days))
    km2, km = largest_differences(results["plain"][0]["numbers"], results["ours"][0]["numbers"])

    def ratio(what: str) -> str:
        median = {e: statistics.median(r[what] for r in found) for e, found in results.items()}
        return f"{median['plain'] / median['ours']:8.1f}"

    print(f"{case}, {days} days. Plain geopandas takes, times ours:")
    print(f"  {'':10}{'CPU time':>10}{'wall time':>10}")
    for phase, label in PHASES.items():
        print(f"  {label:10}{ratio(f'cpu {phase}'):>10}{ratio(f'wall {phase}'):>10}")
    told = ", ".join(f"{most:.4f} km² in {what}" for what, most in km2.items())
    print(
        f"  peak memory {ratio('memory').strip()}; areas differ by at most {told}; "
        f"lengths by {1000 * km:.1f} m\n",
        flush=True,
    )
    if km2["sectors"] > AGREE_KM2 or km2.get("the whole map", 0) > AGREE_WHOLE_KM2 or km > AGREE_KM:
        sys.exit("The two differ by more than they may.")


def growth() -> None:
    """How our own cost grows with days, sectors and vertices, and what one more of them costs."""
    with workspace(files(10_000)) as folder:
        maps = our_read(folder)
    many, source = OBLASTS + SHIPPED[:2], sources.get("deepstate")
    finer = [
        dataclasses.replace(day, layers={k: denser(g) for k, g in day.layers.items()})
        for day in maps[-60:]
    ]
    vertices = [shapely.get_num_coordinates(days[-1].tier(TIER)) for days in (maps, finer)]

    def cost(days: list[Snapshot], sectors: list[Sector]) -> float:
        """CPU time, the least of three; nothing is remembered from one to the next."""
        spent = []
        for _ in range(3):
            fresh = [dataclasses.replace(day, layers=copies(day)) for day in days]
            start = time.process_time()
            measures.daily(fresh, sectors, source=source, tier=TIER)
            spent.append(time.process_time() - start)
        return min(spent)

    base = cost(maps[-60:], SHIPPED)
    print("Our own CPU time of measuring, against 60 days of 3 sectors:")
    for days in (30, 120, len(maps)):
        print(f"  {days} days: {cost(maps[-days:], SHIPPED) / base:.2f}")
    for count in (1, 10, len(many)):
        print(f"  {count} sectors: {cost(maps[-60:], many[:count]) / base:.2f}")
    print(
        f"  {vertices[1] / vertices[0]:.1f} times the vertices: {cost(finer, SHIPPED) / base:.2f}"
    )
    print(f"  one day more, 3 sectors: {cost(maps[-2:], SHIPPED) / base:.2f}")


def copies(day: Snapshot) -> dict[str, shapely.Geometry]:
    """The layers as objects of their own."""
    return {name: shapely.from_wkb(shapely.to_wkb(ground)) for name, ground in day.layers.items()}


def denser(ground: shapely.Geometry) -> shapely.Geometry:
    """The same ground with more vertices on its edges."""
    return shapely.segmentize(ground, 0.002)


def new_sector(days: int) -> None:
    """What one sector more costs where the days were measured before, in other sectors."""
    source, sector = sources.get("deepstate"), OBLASTS[5]
    with workspace(files(10_000)) as folder:
        maps = our_read(folder)
    measures.daily(maps, SHIPPED, source=source, tier=TIER)
    start = time.process_time()
    measures.daily(maps, [sector], source=source, tier=TIER)
    ours = time.process_time() - start
    with workspace(files(days)) as folder:
        plain_maps = plain_read(folder)
    start = time.process_time()
    plain_measure(plain_maps, [sector], whole=False)
    plain = (time.process_time() - start) / days * len(maps)
    budget(f"A new sector over {len(maps)} days", ours, plain / ours)


def new_day() -> None:
    """What one new file costs beside a short and a long archive: read, judged and measured."""
    paths = files(10_000)
    spent = {}
    for count in (30, len(paths) - 1):
        trials = []
        for _ in range(3):
            with workspace(paths[-count - 1 : -1]) as folder:
                ws = Workspace.at(folder)
                snapshots.ensure(ws, "deepstate")
                start = time.process_time()
                snapshots.ensure(ws, "deepstate")
                idle = time.process_time() - start
                (ws.raw / "deepstate" / paths[-1].name).symlink_to(paths[-1])
                start = time.process_time()
                snapshots.ensure(ws, "deepstate")
                day = snapshots.days(ws, "deepstate")[-1]
                maps = snapshots.window(ws, "deepstate", day, day, lead_in=True)
                measures.daily(maps, SHIPPED, source=sources.get("deepstate"), tier=TIER)
                trials.append((time.process_time() - start, idle))
        spent[count] = [min(several) for several in zip(*trials, strict=True)]
    with workspace(paths[-2:-1]) as folder:
        before = plain_read(folder)
        (folder / "data" / "raw" / "deepstate" / paths[-2].name).unlink()
        (folder / "data" / "raw" / "deepstate" / paths[-1].name).symlink_to(paths[-1])
        start = time.process_time()
        after = plain_read(folder)
        plain_measure([before[0], after[-1]], SHIPPED, whole=False)
        plain = time.process_time() - start
    (few, (short, idle_short)), (many, (long, idle_long)) = spent.items()
    budget(f"A new day beside {many} days", long, plain / long)
    print(
        f"  {long / short:.2f} times what it takes beside {few}; of which looking for what is new "
        f"{idle_long / idle_short:.2f} times."
    )


def budget(what: str, spent: float, ratio: float) -> None:
    """Say what an increment costs, and whether that is little enough."""
    kept = "within" if 1000 * spent <= BUDGET_MS else "OVER"
    print(
        f"{what}: {1000 * spent:.0f} ms of CPU time, {kept} the budget of {BUDGET_MS}; plain "
        f"geopandas takes {ratio:.0f} times as much.",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=40, help="The newest days to compare on.")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if "FRONTLINE_SHARED_DATA" not in os.environ:
        sys.exit("Set FRONTLINE_SHARED_DATA to a folder with deepstate/*.geojson.")
    if options.engine:
        print(json.dumps(run(options.engine, options.case, options.days)))
        return
    for case in CASES:
        compare(case, options.days, options.repeat)
    new_day()
    new_sector(min(options.days, 40))
    growth()


if __name__ == "__main__":
    main()
