"""Measuring sectors day by day: ours against plain geopandas, on the same days in the same run.

    FRONTLINE_SHARED_DATA=... python benchmarks/bench_measures.py [--days 40] [--repeat 1]

Both start from DeepState's raw files, repair them, keep them in GeoParquet and load them again, and
end with a table of each day and sector: area, gain and loss since the day before, how much of that
is slivers, the greatest depth, the length of the line that moved, gain and loss since the first
day, and the length of the line. Plain geopandas clips each map, and its boundary, to each sector
and takes the differences, both ways. Ours has a gate besides. Each run is a process of its own;
imports, and laying out an empty workspace, are not counted. What is printed are ratios of the two
in this run, and how far their numbers differ; times alone say nothing on a shared machine. Only of
one day more and of one sector more it is said how much CPU time they take, and whether that is
within their budget.

The newest 40 days take about two minutes. `--days 205 --repeat 2` is what README.md tells of.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
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

from helpers import changes, measures, reference, snapshots, sources
from helpers.projection import STORAGE_CRS
from helpers.reference import Sector
from helpers.schema import Snapshot
from helpers.workspace import Workspace

PLANE = "EPSG:32637"  # UTM zone 37N
EQUAL_AREA = "ESRI:54034"  # cylindrical: the only kind that keeps boxes in longitude/latitude boxes
TIER = "presence"
# An edge is straight in longitude and latitude; on the plane it is only if it is short.
EDGE_DEGREES = 0.05
# What runs this near a piece runs along it, unless it only touches it. A spike is thinner still.
ALONG_M, TOUCH_KM, SPIKE_M = 1.0, 0.01, 0.001
DEPTH_STEP_M = 250.0
AGREE_KM2 = 0.01
# On the whole map the noise of re-exported days, which only ours takes out, is a little more.
AGREE_WHOLE_KM2 = 0.02
AGREE_KM, AGREE_MOVED_KM = 0.01, 0.05
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
    before_lines: dict[str, gpd.GeoSeries] = {}
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
                gained, lost = _plain_difference(cut, other), _plain_difference(other, cut)
                row[f"{name}gained_km2"], row[f"{name}lost_km2"] = map(_plain_km2, (gained, lost))
                if not name and key in before_lines:
                    row |= _plain_pieces(gained, lost, before_lines[key], lines[key])
            before[key], before_lines[key] = cut, lines[key]
            first.setdefault(key, cut)
            rows.append(row)
    return pd.DataFrame(rows).fillna({"sliver_km2": 0, "moved_km": 0})


def _plain_km2(table: gpd.GeoDataFrame) -> float:
    return float(table.to_crs(EQUAL_AREA).area.sum() / 1e6)


def _plain_difference(table: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    if table is other:
        return table.iloc[:0]
    if table.empty or other.empty:
        return table
    return gpd.overlay(table, other, how="difference", keep_geom_type=True)


def _plain_pieces(
    gained: gpd.GeoDataFrame, lost: gpd.GeoDataFrame, old: gpd.GeoSeries, new: gpd.GeoSeries
) -> dict[str, float]:
    """Slivers, depth and the line that moved: piece by piece, on a plane."""
    told = {"sliver_km2": 0.0, "moved_km": 0.0, "depth_km": np.nan}
    for table, advance in ((gained, True), (lost, False)):
        if table.empty:
            continue
        pieces = table[["geometry"]].explode().reset_index(drop=True)
        km2 = pieces.to_crs(EQUAL_AREA).area / 1e6
        plane = pieces.to_crs(PLANE)
        core = plane.buffer(-changes.SLIVER_WIDTH_M / 2)
        thin = (km2 < changes.SLIVER_AREA_KM2) | core.is_empty
        told["sliver_km2"] += km2[thin].sum()
        wide = plane[~thin]
        if wide.empty:
            continue
        around = wide.buffer(-SPIKE_M).buffer(SPIKE_M + ALONG_M)
        mine, theirs = (around.intersection(line.to_crs(PLANE).union_all()) for line in (old, new))
        km = np.array([mine.length, theirs.length]) / 1000
        km[km < TOUCH_KM] = 0
        told["moved_km"] += np.where((km == 0).any(axis=0), km.sum(axis=0), km.mean(axis=0)).sum()
        if advance and km[0].any():
            deep = wide.segmentize(DEPTH_STEP_M).hausdorff_distance(mine)[km[0] > 0].max() / 1000
            told["depth_km"] = np.nanmax([told["depth_km"], deep])
    return told


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
    error_km = options["source"].positional_error_m / 1000
    return table.assign(
        since_gained_km2=since["gained_km2"],
        since_lost_km2=since["lost_km2"],
        moved_km=table["change_error_km2"] / error_km,
    ).fillna(dict.fromkeys(["gained_km2", "lost_km2", "sliver_km2", "moved_km"], 0))


ENGINES = {"plain": (plain_read, plain_measure), "ours": (our_read, our_measure)}
PHASES = {"read": "reading", "measure": "measuring", "all": "both"}
AREAS = ["area_km2", "gained_km2", "lost_km2", "since_gained_km2", "since_lost_km2"]
NUMBERS = [*AREAS, "contact_km", "sliver_km2", "moved_km", "depth_km"]


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
    # Neither counts imports, so neither is to look through them for garbage.
    gc.collect()
    gc.freeze()
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
        key: rows[NUMBERS].fillna(0).to_numpy().tolist() for key, rows in table.groupby("sector")
    }
    notes = table["note"].tolist()[: len(maps)] if "note" in table else []
    anew = [number for number, note in enumerate(notes) if "re-quantised" in note]
    return {**spent, "numbers": numbers, "anew": anew}


def in_process(engine: str, case: str, days: int) -> dict[str, object]:
    """One engine in a process of its own."""
    command = [sys.executable, __file__, "--engine", engine, "--case", case, "--days", str(days)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def differences(plain: dict, ours: dict) -> str:
    """Say how far two results are apart; ends the program where that is more than it may be."""
    assert plain["numbers"].keys() == ours["numbers"].keys()
    apart = {
        key: np.abs(np.subtract(rows, ours["numbers"][key]))
        for key, rows in plain["numbers"].items()
    }
    whole = [apart.pop(key) for key in (measures.WHOLE,) if key in apart]
    areas, lengths = slice(len(AREAS)), len(AREAS)
    km2 = [max(rows[:, areas].max() for rows in some) for some in (apart.values(), whole) if some]
    km = max(rows[:, lengths].max() for rows in (*apart.values(), *whole))
    # Only ours takes the noise out of days that were exported anew.
    alike = np.concatenate([np.delete(rows, ours["anew"], axis=0) for rows in apart.values()])
    sliver, moved, depth = alike[:, lengths + 1 :].T
    told = [
        f"areas differ by at most {km2[0]:.4f} km² in sectors",
        *(f"{km2[-1]:.4f} km² on the whole map" for _ in whole),
        f"lengths of the line by {1000 * km:.1f} m",
        f"slivers, on days that were not exported anew, by {sliver.max():.4f} km²",
        f"the line that moved by {1000 * moved.max():.0f} m",
        f"depth by less than 2 m but in {np.sum(depth >= 0.002)} of {len(depth)}",
    ]
    kept = km2[0] <= AGREE_KM2 and km2[-1] <= AGREE_WHOLE_KM2 and km <= AGREE_KM
    kept &= sliver.max() <= AGREE_KM2 and moved.max() <= AGREE_MOVED_KM
    if not kept:
        sys.exit(f"The two differ by more than they may: {'; '.join(told)}.")
    return "; ".join(told)


def compare(case: str, days: int, repeat: int) -> None:
    """Run both, alternating, and print the ratios."""
    results: dict[str, list[dict]] = {"plain": [], "ours": []}
    # Ours is over in a second, and that second may be a bad one: it runs before and after, often.
    some = ["ours"] * 3
    for engine in [*[*some, "plain"] * repeat, *some]:
        results[engine].append(in_process(engine, case, days))
    told = differences(results["plain"][0], results["ours"][0])

    def ratio(what: str) -> str:
        median = {e: statistics.median(r[what] for r in found) for e, found in results.items()}
        return f"{median['plain'] / median['ours']:8.1f}"

    print(f"{case}, {days} days. Plain geopandas takes, times ours:")
    print(f"  {'':10}{'CPU time':>10}{'wall time':>10}")
    for phase, label in PHASES.items():
        print(f"  {label:10}{ratio(f'cpu {phase}'):>10}{ratio(f'wall {phase}'):>10}")
    print(f"  peak memory {ratio('memory').strip()}; {told}.\n", flush=True)


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
    trials = []
    for _ in range(3):
        measures._inside.cache_clear()
        start = time.process_time()
        measures.daily(maps, [sector], source=source, tier=TIER)
        trials.append(time.process_time() - start)
    ours = min(trials)
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
        trials = []
        for _ in range(3):
            start = time.process_time()
            after = plain_read(folder)
            plain_measure([before[0], after[-1]], SHIPPED, whole=False)
            trials.append(time.process_time() - start)
        plain = min(trials)
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
