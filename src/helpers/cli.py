"""The command line. Every command does its imports itself, so that help is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from helpers import __version__
from helpers.errors import FrontlineError, ParameterError
from helpers.jobs import dates
from helpers.startup import leave_quickly, look_away, skip_grammar
from helpers.workspace import PROJECT, Workspace

if TYPE_CHECKING:
    from helpers.forkserver import ForkServer

skip_grammar()
leave_quickly()

# So few reports are made before all of a rehearsal has paid.
_FEW = 4
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Group(click.Group):
    """Turns the project's own errors, and the system's, into one message and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FrontlineError as error:
            _fail(str(error))
            ctx.exit(1)
        except BrokenPipeError:
            raise  # whoever reads has enough: click ends quietly
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"{place}{error.strerror or error}")
            ctx.exit(1)


def _fail(message: str) -> None:
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)


_EPILOG = """\b
Exit status:
  0  done
  1  something failed; what could be done is done, and the rest is named
  2  a command or an option that is not known
  3  check, daily: days are in quarantine
  4  daily: nothing new
"""


@click.group(cls=_Group, context_settings=_SETTINGS, epilog=_EPILOG)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The workspace: any folder with data/raw/<source>/. "
    "Default: $FRONTLINE_ROOT, the folder you are in, or the project's own.",
)
@click.option("--quiet", "-q", is_flag=True, help="Results and errors only; no progress.")
@click.option(
    "--verbose", "-v", is_flag=True, help="A line for each step, also without a terminal."
)
@click.version_option(__version__, prog_name="frontline")
@click.pass_context
def main(ctx: click.Context, root: Path | None, *, quiet: bool, verbose: bool) -> None:
    """Measure and map changes in published control-of-terrain maps.

    \b
    frontline doctor               is this machine ready?
    frontline report 2025-01-08    the report of a day, from what is in data/raw
    """
    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose exclude each other.")
    ctx.meta[_QUIET], ctx.meta[_VERBOSE] = quiet, verbose
    if "NO_COLOR" in os.environ:  # https://no-color.org
        ctx.color = False
    # Found only when a command runs: --help works anywhere.
    find: Callable[[], Workspace] = (lambda: Workspace.at(root)) if root else Workspace.find
    ctx.obj = find


_QUIET, _VERBOSE = "helpers.cli.quiet", "helpers.cli.verbose"


def _asked_to_be(what: str) -> bool:
    return bool(click.get_current_context().meta.get(what))


def _aside(message: str) -> None:
    """Say what is no result."""
    if not _asked_to_be(_QUIET):
        click.echo(message, err=True)


def _bar(**options: Any) -> Any:
    """A progress bar; none without a terminal, and none when it is to be quiet."""
    from tqdm import tqdm

    hidden = True if _asked_to_be(_QUIET) or _asked_to_be(_VERBOSE) else None
    return tqdm(disable=hidden, leave=False, **options)


def _tell(content: Any, lines: Iterable[object], *, as_json: bool) -> None:
    """The result: lines for a person, or one JSON document for a program."""
    if as_json:
        click.echo(json.dumps(content, ensure_ascii=False, default=str, indent=1))
        return
    for line in lines:
        click.echo(line)


_JSON = click.option("--json", "as_json", is_flag=True, help="The result as JSON, for programs.")


def _sources(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Completion in a shell."""
    from helpers import publishers

    return [key for key in publishers.known(_workspace(ctx)) if key.startswith(incomplete)]


def _sectors(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    from helpers import reference

    known = [*reference.sectors(_workspace(ctx).sectors_file), "all"]
    return [key for key in known if key.startswith(incomplete)]


def _workspace(ctx: click.Context) -> Workspace:
    root = ctx.find_root().params.get("root")
    return Workspace.at(root) if root else Workspace.find()


_SOURCE = click.option(
    "--source",
    default="",
    shell_complete=_sources,
    help="Source id. Default: the workspace's own.",
)
_JOBS = click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    help="Notebooks run at the same time. Default: the cores.",
)


_SCHEDULER = click.option(
    "--scheduler",
    default="",
    metavar="ADDRESS",
    help="Work on the workers of a Dask scheduler, tcp://HOST:8786. Default: this machine.",
)


@contextmanager
def _cells(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar that shows the notebook, the cells done and the time left."""
    lines = _asked_to_be(_VERBOSE)
    with _bar(total=None, unit="cell", desc=what) as bar:

        def advance(name: str, done: int, count: int) -> None:
            if lines:
                click.echo(f"{what}: cell {done} of {count}, {name}", err=True)
            bar.total = count
            bar.set_postfix_str(name, refresh=False)
            bar.update(max(done - bar.n, 0))

        yield advance


@main.command()
@click.argument("day", metavar="DATE")
@_SOURCE
@click.option("--compare-to", default="", metavar="DATE", help="Default: a month before.")
@click.option("--as-of", default="", metavar="DATE", help="As the maps were known on that day.")
@click.option("--force", is_flag=True, help="Make it even if nothing has changed.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and why; make nothing.")
@_JSON
@_JOBS
@_SCHEDULER
@click.pass_obj
def report(find: Callable[[], Workspace], /, day: str, **options: Any) -> None:
    """Make the report of one assessed day.

    One that is there, and of which nothing has changed, is left as it is.

    \b
    Examples:
      frontline report 2025-01-08
      frontline report 2025-01-08 --source deepstate --compare-to 2024-12-08
    """
    here = not (options["scheduler"] or options["dry_run"])
    ws = find()
    with _server(when=here and (options["force"] or not _made_before(ws, [day]))) as server:
        _report(ws, day, server, **options)


def _report(
    ws: Workspace, day: str, server: ForkServer | None, *, jobs: int, **options: Any
) -> None:
    from helpers import plans
    from helpers.schema import optional_day, parse_day

    ws = ws.known_by(optional_day(options["as_of"], "--as-of"))
    asked = plans.request(
        ws, parse_day(day), source_id=options["source"], compare_to=options["compare_to"]
    )
    index = plans.folder_of(ws, asked) / "index.html"
    why = ["asked for"] if options["force"] else plans.stale(ws, asked)
    told = {"index": index, "why": why, "made": bool(why) and not options["dry_run"]}
    if options["dry_run"]:
        planned = plans.plan(ws, asked) if why else []
        lines = [f"{index}: {'; '.join(why) or 'nothing has changed'}"]
        for job in planned:
            values = ", ".join(f"{name} {value}" for name, value in job.parameters.items())
            lines.append(f"  {job.notebook.name} ({values})")
        told["runs"] = [{"notebook": job.notebook, "parameters": job.parameters} for job in planned]
        _tell(told, lines, as_json=options["as_json"])
        return
    if why and options["scheduler"]:
        from helpers import cluster, tasks

        with cluster.connected(options["scheduler"], ws) as found:
            found.pool.submit(tasks.make_report, ws, asked, jobs).result()
    elif why:
        _make_report(ws, asked, jobs, server)
    _tell(told, [index], as_json=options["as_json"])


def _make_report(ws: Workspace, asked: Any, jobs: int, server: ForkServer | None = None) -> None:
    with nullcontext(server) if server else _server() as forks:
        from helpers import reports

        look_away()
        with _cells("Report") as progress:
            reports.make(ws, asked, lanes=jobs, server=forks, progress=progress)


@contextmanager
def _server(
    *, when: bool = True, about: Sequence[str] = (), many: bool = False
) -> Iterator[ForkServer | None]:
    """What forks kernels: it imports what notebooks import while this process does other things."""
    if not when:
        yield None
        return
    from helpers import forkserver

    with forkserver.started(os.environ, about=about, many=many) as server:
        yield server


def _made_before(ws: Workspace, days: Sequence[str]) -> set[str]:
    """Days of which there are reports, so that it may turn out that there is nothing to do."""
    names = [index.parent.name for index in ws.reports.glob("*/index.html")]
    return {day for day in days if any(name.startswith(day) for name in names)}


@main.command()
@click.argument("start", metavar="START")
@click.argument("end", metavar="END")
@click.option("--every", default="1d", show_default=True, help="Days (7d) or weeks (1w).")
@_SOURCE
@click.option("--force", is_flag=True, help="Make all, even if nothing has changed.")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and why; make nothing.")
@_JSON
@_JOBS
@_SCHEDULER
@click.pass_obj
def backfill(
    find: Callable[[], Workspace], /, start: str, end: str, every: str, **options: Any
) -> None:
    """Make the reports of many days.

    Run again, it makes only what is missing or has changed.

    Exit status: 0, or 1 if a date failed; the others are made.

    \b
    Examples:
      frontline backfill 2024-08-01 2025-01-31 --every 7d
    """
    ws = find()
    here = not (options["scheduler"] or options["dry_run"])
    missing = _missing(ws, start, end, every, force=options["force"]) if here else []
    with _server_for(ws, options["source"], missing, when=len(missing) > _FEW) as server:
        from helpers import backfill as filling
        from helpers.schema import parse_day

        days = dates(parse_day(start, "START"), parse_day(end, "END"), _step_days(every))
        wanted, settled = filling.prepare(ws, days, options["source"], force=options["force"])
        lines = []
        if options["dry_run"]:
            outcomes = [filling.Outcome(asked.day, "stale", why) for asked, why in wanted]
            lines = [f"{outcome.day}: {outcome.told}" for outcome in outcomes]
        else:
            outcomes = list(_filled(ws, wanted, server, **options)) if wanted else []
    outcomes = sorted([*settled, *outcomes], key=lambda outcome: outcome.day)
    told = [asdict(outcome) for outcome in outcomes]
    _tell(told, [*lines, *filling.summary(outcomes)], as_json=options["as_json"])
    if any(outcome.result == "failed" for outcome in outcomes):
        sys.exit(1)


def _missing(ws: Workspace, start: str, end: str, every: str, *, force: bool) -> list[str]:
    """Days of which there is no report yet; none where the dates have a fault, told later."""
    try:
        span = date.fromisoformat(start), date.fromisoformat(end)
        days = [day.isoformat() for day in dates(*span, _step_days(every))]
    except (ValueError, ParameterError):
        return []
    made = set() if force else _made_before(ws, days)
    return [day for day in days if day not in made]


def _server_for(
    ws: Workspace, source_id: str, days: Sequence[str], *, when: bool = True
) -> AbstractContextManager[ForkServer | None]:
    """A server for reports of some days; it looks at the maps of many before it forks."""
    many = len(days) > _FEW
    about = [str(ws.root), source_id, min(days), max(days)] if many else []
    return _server(when=when, about=about, many=many)


def _step_days(every: str) -> int:
    """Days in "7d" or "2w"."""
    number, unit = every[:-1], every[-1:]
    if not number.isdigit() or unit not in ("d", "w"):
        raise ParameterError(f"--every {every!r} is no step. Give days or weeks: 7d, 1w.")
    return int(number) * (7 if unit == "w" else 1)


def _filled(
    ws: Workspace,
    wanted: Any,
    server: ForkServer | None,
    *,
    jobs: int,
    scheduler: str,
    **_: Any,
) -> Iterator[Any]:
    """Outcomes as they come, made here or on a cluster."""
    from functools import partial

    from helpers import backfill as filling

    requests = [asked for asked, _ in wanted]
    with _pool(ws, jobs, scheduler, requests, server) as (make, pool):
        found = filling.run(wanted, partial(make, ws), pool, jobs=1 if scheduler else jobs)
        for outcome in _bar(iterable=found, total=len(wanted), unit="report"):
            if _asked_to_be(_VERBOSE):
                click.echo(f"{outcome.day}: {outcome.result}: {outcome.told}", err=True)
            yield outcome


@contextmanager
def _pool(
    ws: Workspace,
    jobs: int,
    scheduler: str,
    wanted: Sequence[Any],
    server: ForkServer | None,
) -> Iterator[tuple[Callable[..., Any], Any]]:
    """What makes reports, and where."""
    if scheduler:
        from helpers import cluster, tasks

        with cluster.connected(scheduler, ws) as found:
            yield tasks.make_report, found.pool
        return
    from concurrent.futures import ThreadPoolExecutor

    days = [asked.day.isoformat() for asked in wanted]
    starting = nullcontext(server) if server else _server_for(ws, wanted[0].source.id, days)
    with starting as forks, ThreadPoolExecutor(jobs) as pool:
        from helpers import reports

        look_away()

        def make(ws: Workspace, asked: Any, lanes: int) -> Path:
            return reports.make(ws, asked, lanes=lanes, server=forks)

        yield make, pool


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder. Default: site.")
@click.option("--base-url", default="", help="Where it will be published: https://...")
@click.option("--docs", type=click.Path(path_type=Path), help="Built documentation, to go with it.")
@_JSON
@click.pass_obj
def site(find: Callable[[], Workspace], /, *, as_json: bool, **options: Any) -> None:
    """Build the archive of all reports, for any static host.

    \b
    Examples:
      frontline site --base-url https://example.org/frontline/
    """
    from helpers import site as building

    base_url = options["base_url"]
    built = building.build(find(), options["out"], base_url=base_url, docs=options["docs"])
    _aside(f"{len(built.made)} files made, {built.kept} kept")
    if not base_url:
        _aside("No sitemap.xml, and links in the feed are relative: no --base-url")
    index = built.folder / "index.html"
    _tell({"index": index, "made": built.made, "kept": built.kept}, [index], as_json=as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rerun", is_flag=True, help="Make the report again, too, and compare.")
@click.option("--jobs", default=2, show_default=True, help="Notebooks run at the same time.")
@_JSON
@click.pass_obj
def verify(
    find: Callable[[], Workspace], folder: Path, jobs: int, *, rerun: bool, as_json: bool
) -> None:
    """Compare a report with its hashes.

    \b
    Examples:
      frontline verify reports/2025-01-08 --rerun
    """
    from helpers import verify as verifying

    ws = find()
    verdicts = [verifying.files(ws, folder)]
    if rerun and not verdicts[0].faults:
        verdicts.append(verifying.rerun(ws, folder, lanes=jobs))
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    lines = []
    for verdict, what in zip(verdicts, ("compared", "made again and compared"), strict=False):
        lines.append(f"{verdict.checked} files {what}, {len(verdict.faults)} faults")
        lines += [f"  {line}" for line in (*verdict.faults, *verdict.notes)]
    lines.append(f"SHA-256 of the manifest: {verdicts[0].digest}")
    _tell([asdict(verdict) for verdict in verdicts], lines, as_json=as_json)
    if faults:
        sys.exit(1)


@main.command()
@click.argument("source", required=False, shell_complete=_sources)
@_JSON
@_SCHEDULER
@click.pass_obj
def ingest(
    find: Callable[[], Workspace], source: str | None, scheduler: str, *, as_json: bool
) -> None:
    """Read what is new in data/raw, and only that.

    \b
    Examples:
      frontline ingest
      frontline --verbose ingest deepstate
    """
    from contextlib import ExitStack

    from helpers import ingest as reading

    ws, pool = find(), None
    with ExitStack() as stack:
        if scheduler:
            from helpers import cluster

            pool = stack.enter_context(cluster.connected(scheduler, ws)).pool
        bar = stack.enter_context(_bar(total=None, unit="file"))
        lines = _asked_to_be(_VERBOSE)

        def advance(name: str, done: int, count: int) -> None:
            if lines:
                click.echo(f"{name}: file {done} of {count}", err=True)
            bar.total = count
            bar.set_description(name)
            bar.update(done - bar.n)

        results = reading.run(ws, source, progress=advance, pool=pool)
    counts = (
        f"{result.source}: {result.new} new, {result.unchanged} unchanged, "
        f"{result.removed} removed, {len(result.failed)} failed, "
        f"{result.quarantined} quarantined"
        for result in results
    )
    _tell([asdict(result) for result in results], counts, as_json=as_json)
    failed = [fault for result in results for fault in result.failed]
    for path, message in failed:
        click.echo(f"  {path}: {message}", err=True)
    if failed:
        sys.exit(1)


@main.command()
@click.argument("source", required=False, shell_complete=_sources)
@click.option("--verbose", "-v", is_flag=True, help="List the notes of accepted days too.")
@_JSON
@click.pass_obj
def check(
    find: Callable[[], Workspace], source: str | None, *, verbose: bool, as_json: bool
) -> None:
    """Say which days can be trusted, and why the others cannot.

    Exit status: 0, or 1 if a file could not be read, or 3 if only days are quarantined.

    \b
    Examples:
      frontline check deepstate --verbose
    """
    from helpers import ingest as reading
    from helpers import inspection

    ws = find()
    every = [inspection.inspect(ws, result.source) for result in reading.run(ws, source)]
    lines = (line for found in every for line in inspection.report(found, verbose=verbose))
    told = [
        {
            "source": found.source,
            "days": found.days.to_dict("records"),
            "unreadable": found.files.to_dict("records"),
        }
        for found in every
    ]
    _tell(told, lines, as_json=as_json)
    unreadable = sum(len(found.files) for found in every)
    sys.exit(1 if unreadable else 3 if any(found.count("quarantined") for found in every) else 0)


@main.group()
def claims() -> None:
    """The ledger of claims, data/raw/claims/claims.csv."""


@claims.command("check")
@_JSON
@click.pass_obj
def check_claims(find: Callable[[], Workspace], *, as_json: bool) -> None:
    """Check the ledger: columns, words, days, and places against the gazetteer.

    Exit status: 0, or 1 if it has faults; each is named with its line and column.

    \b
    Examples:
      frontline claims check
    """
    from helpers import ledger

    ws = find()
    table = ledger.read(ws)
    places = [place for places in table["places"] for place in places]
    unplaced = sorted({place.name for place in places if place.name and not place.id})
    told = {
        "ledger": ledger.path(ws),
        "claims": len(table),
        "first": f"{table['date'].min():%Y-%m-%d}",
        "last": f"{table['date'].max():%Y-%m-%d}",
        "settlements": len({place.id for place in places} - {""}),
        "not_placed": unplaced,
    }
    counts = "{ledger}: {claims} claims, {first} to {last}, on {settlements} settlements"
    lines = [counts.format(**told)] + [f"Not placed: {', '.join(unplaced)}"] * bool(unplaced)
    _tell(told, lines, as_json=as_json)


@main.command()
@click.option("--source", required=True, shell_complete=_sources, help="Source id.")
@click.option("--start", required=True, metavar="DATE", help="First assessed day.")
@click.option("--end", required=True, metavar="DATE", help="Last assessed day.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File: .parquet (GeoParquet), .gpkg, .fgb or .geojson.",
)
@click.pass_obj
def export(find: Callable[[], Workspace], source: str, start: str, end: str, out: Path) -> None:
    """Write maps for QGIS, DuckDB or R: a row a day and layer.

    \b
    Examples:
      frontline export --source deepstate --start 2025-01-01 --end 2025-01-08 \\
        --out maps.gpkg
    """
    from helpers import export as exporting
    from helpers import publishers, snapshots
    from helpers.schema import parse_day

    ws = find()
    record = publishers.source(ws, source)
    snapshots.ensure(ws, source)
    first, last = parse_day(start, "--start"), parse_day(end, "--end")
    table = exporting.table(snapshots.window(ws, source, first, last), record)
    click.echo(exporting.write(table, out))


@main.command()
@click.option("--source", required=True, shell_complete=_sources, help="Source id.")
@click.option(
    "--sector",
    "sector_keys",
    multiple=True,
    required=True,
    shell_complete=_sectors,
    help="A sector, a box west,south,east,north, or 'all' for the whole map; repeatable.",
)
@click.option("--start", required=True, metavar="DATE", help="First assessed day.")
@click.option("--end", required=True, metavar="DATE", help="Last assessed day.")
@click.option("--tier", default="", help="Default: the sector's own.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file. Default: the terminal.")
@_JSON
@_SCHEDULER
@click.pass_obj
def measures(
    find: Callable[[], Workspace], /, sector_keys: tuple[str, ...], **options: Any
) -> None:
    """Measure sectors day by day: area, gains, losses, as CSV.

    \b
    Examples:
      frontline measures --source deepstate --sector kurakhove \\
        --start 2024-12-01 --end 2025-01-08
    """
    from helpers import outputs, publishers, snapshots, tasks
    from helpers.schema import parse_day

    ws = find()
    source = publishers.source(ws, options["source"]).id
    days = parse_day(options["start"], "--start"), parse_day(options["end"], "--end")
    snapshots.ensure(ws, source)
    if options["scheduler"]:
        import pandas as pd

        from helpers import cluster

        with cluster.connected(options["scheduler"], ws) as found:
            asked = [
                found.pool.submit(tasks.measure, ws, source, days, [key], options["tier"])
                for key in sorted(sector_keys, key="all".__eq__)
            ]
            table = pd.concat([one.result() for one in asked], ignore_index=True)
    else:
        table = tasks.measure(ws, source, days, sector_keys, options["tier"])
    if options["out"]:
        click.echo(outputs.write_table(table, options["out"]))
    elif options["as_json"]:
        click.echo(
            table.assign(day=table["day"].dt.strftime("%Y-%m-%d")).to_json(
                orient="records", indent=1, double_precision=6
            )
        )
    else:
        click.echo(outputs.table_text(table), nl=False)


@main.command()
@click.argument("start", metavar="START")
@click.argument("end", metavar="END")
@click.option(
    "--sector",
    required=True,
    shell_complete=_sectors,
    help="A sector, or a box west,south,east,north.",
)
@_SOURCE
@click.option("--tier", default="", help="Default: the sector's own.")
@click.option("--phone", is_flag=True, help="For narrow screens.")
@click.option("--frames", is_flag=True, help="Write the single frames too.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder. Default: reports/drafts/figures."
)
@click.pass_obj
def animate(find: Callable[[], Workspace], /, start: str, end: str, **options: Any) -> None:
    """Animate a sector from day to day.

    Writes a GIF, an MP4 if ffmpeg is there, and a still.

    \b
    Examples:
      frontline animate 2024-12-08 2025-01-08 --sector toretsk
    """
    from helpers import animation
    from helpers.schema import parse_day

    ws = find()
    film = animation.of_sector(
        ws,
        options["sector"],
        parse_day(start, "START"),
        parse_day(end, "END"),
        source_id=options["source"],
        tier=options["tier"],
        phone=options["phone"],
    )
    out = options["out"] or ws.output / "figures"
    with _bar(total=len(film.days), unit="frame") as bar:
        paths = animation.write(
            film, out, frames=options["frames"], progress=lambda done, _: bar.update(done - bar.n)
        )
    for path in paths:
        click.echo(path)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder. Default: data/raw.")
def reconstruct(out: Path | None) -> None:
    """Make the embedded sample again.

    From the settlement facts, in about a minute.

    \b
    Examples:
      frontline reconstruct --out /tmp/sample
    """
    from helpers import reconstruction as making
    from helpers import reference

    project = Workspace.at(PROJECT)
    raw = out or project.raw
    facts = making.read_facts(project.raw / "reconstruction" / "facts", project.claims_file)
    frames = tuple(reference.sectors().values())
    written = making.write(facts, raw / "reconstruction", frames)
    click.echo(f"{len(written)} days in {raw / 'reconstruction'}")
    late = raw / "reconstruction-late"
    written = making.write(making.at_latest(facts), late, frames, making.LATE_DAYS)
    click.echo(f"{len(written)} days in {late}")


@main.command()
@click.argument("source", shell_complete=_sources)
@click.option("--since", default="", metavar="DATE", help="Default: two weeks before --until.")
@click.option("--until", default="", metavar="DATE", help="Default: today.")
@click.option("--way", default="", help="One of the source's ways. Default: its first.")
@click.option("--again", is_flag=True, help="Ask for days that are there, too; keep what changed.")
@click.option(
    "--accept-terms",
    default="",
    metavar="SOURCE",
    help="Accept the source's terms, which the first fetch shows; remembered in the workspace.",
)
@_JSON
@click.pass_obj
def fetch(find: Callable[[], Workspace], /, source: str, accept_terms: str, **options: Any) -> None:
    """Fetch a publisher's maps that are not in data/raw.

    Exit status: 0, or 1 if something could not be had; what could is kept.

    \b
    Examples:
      frontline fetch deepstate --since 2024-12-01 --until 2025-01-09
    """
    from helpers import endpoints
    from helpers import fetch as fetching

    ws = find()
    if accept_terms:
        if accept_terms != source:
            raise ParameterError(f"--accept-terms {accept_terms} is not the source {source}.")
        known = endpoints.load(ws, source)
        click.echo(f"Accepted:\n\n{fetching.terms(ws, known)}\n", err=True)
        fetching.accept(ws, known)
    lines = _asked_to_be(_VERBOSE)
    with _bar(total=None, unit="file", desc="Fetch") as bar:

        def advance(name: str, done: int, count: int) -> None:
            if lines:
                click.echo(f"{source}: {done} of {count}, {name}", err=True)
            bar.total = count
            bar.set_postfix_str(name)
            bar.update(done - bar.n)

        as_json = options.pop("as_json")
        done = fetching.run(ws, _asked(source, **options), progress=advance)
    _tell(asdict(done), fetching.summary(done), as_json=as_json)
    if done.failed:
        sys.exit(1)


def _asked(source: str, *, since: str, until: str, way: str = "", again: bool = False) -> Any:
    from helpers.fetch import Asked
    from helpers.schema import parse_day

    first = parse_day(since, "--since") if since else None
    last = parse_day(until, "--until") if until else None
    return Asked(source, first, last, way, again)


@main.command()
@click.option("--source", required=True, help="Source id; its terms were accepted in a fetch.")
@click.option("--since", default="", metavar="DATE", help="Default: two weeks before --until.")
@click.option("--until", default="", metavar="DATE", help="Default: today.")
@click.option("--way", default="", help="One of the source's ways. Default: its first.")
@click.option("--base-url", default="", help="Where the site will be.")
@click.pass_obj
def daily(find: Callable[[], Workspace], /, source: str, base_url: str, **options: Any) -> None:
    """Do a day's work, for a timer.

    Fetches, reads, checks, reports and publishes.

    Exit status: 0 a report was made, 4 nothing new, 3 the newest day is quarantined, 1 something
    failed.

    \b
    Examples:
      frontline daily --source deepstate --base-url https://example.org/frontline/
    """
    from helpers import daily as work
    from helpers import fetch as fetching
    from helpers import ingest as reading
    from helpers import plans, snapshots, web
    from helpers import site as building

    ws = find()

    def request(day: date) -> plans.Request:
        return plans.request(ws, day, source_id=source)

    def report(day: date) -> Path:
        asked = request(day)
        _make_report(ws, asked, os.cpu_count() or 1)
        return plans.folder_of(ws, asked) / "index.html"

    steps = work.Steps(
        fetch=lambda: fetching.run(ws, _asked(source, **options)),
        ingest=lambda: reading.run(ws, source)[0].failed,
        quarantined=lambda: snapshots.quarantined(ws, source, date(2014, 1, 1), web.now().date()),
        days=lambda: snapshots.days(ws, source),
        has_report=lambda day: not plans.stale(ws, request(day)),
        report=report,
        site=lambda: building.build(ws, base_url=base_url).folder / "index.html",
    )
    sys.exit(work.attempt(steps, click.echo))


@main.command()
def notebooks() -> None:
    """Run the committed notebooks again, in place.

    They read the embedded sample.

    \b
    Examples:
      frontline notebooks
    """
    from helpers import runner

    for path in runner.refresh(PROJECT / "notebooks", root=PROJECT):
        click.echo(path)


@main.command()
@click.option("--offline", is_flag=True, help="Ask no other host.")
@_JSON
@click.pass_obj
def doctor(find: Callable[[], Workspace], *, offline: bool, as_json: bool) -> None:
    """Check this machine, and say what to do.

    Looks for what a run needs: packages, fonts, folders, data, the network.

    Exit status: 0, or 1 if something would keep a run from working.

    \b
    Examples:
      frontline doctor --offline
    """
    from helpers import doctor as examining

    found = list(examining.examine(find(), offline=offline))
    marks = {"ok": ("ok   ", "green"), "note": ("note ", "yellow"), "fault": ("FAULT", "red")}
    lines = []
    for finding in found:
        text, colour = marks[finding.status]
        lines.append(f"{click.style(text, fg=colour)} {finding.what}: {finding.found}")
        lines += [f"      {finding.advice}"] * bool(finding.advice)
    _tell([finding._asdict() for finding in found], lines, as_json=as_json)
    if any(finding.status == "fault" for finding in found):
        sys.exit(1)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes words in a shell.

    It knows commands, options, sources and sectors.

    \b
    Examples:
      eval "$(frontline completion bash)"
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click has these three
    click.echo(kind(main, {}, "frontline", "_FRONTLINE_COMPLETE").source())


if __name__ == "__main__":
    main()
