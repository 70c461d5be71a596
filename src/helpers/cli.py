"""The command line. Every command does its imports itself, so that help is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

from helpers import __version__
from helpers.errors import FrontlineError, ParameterError
from helpers.workspace import PROJECT, Workspace

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Group(click.Group):
    """Turns the project's own errors into one message and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FrontlineError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings=_SETTINGS)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The workspace: any folder with data/raw/<source>/. "
    "Default: $FRONTLINE_ROOT, the folder you are in, or the project's own.",
)
@click.version_option(__version__, prog_name="frontline")
@click.pass_context
def main(ctx: click.Context, root: Path | None) -> None:
    """Measure and map changes in published control-of-terrain maps."""
    # Found only when a command runs: --help works anywhere.
    find: Callable[[], Workspace] = (lambda: Workspace.at(root)) if root else Workspace.find
    ctx.obj = find


@main.command()
@click.argument("day", metavar="DATE")
@click.option("--source", default="", help="Source id. Default: the workspace's own.")
@click.option("--compare-to", default="", metavar="DATE", help="Default: a month before.")
@click.option("--as-of", default="", metavar="DATE", help="As the maps were known on that day.")
@click.option("--jobs", default=2, show_default=True, help="Notebooks run at the same time.")
@click.pass_obj
def report(
    find: Callable[[], Workspace], /, day: str, source: str, compare_to: str, as_of: str, jobs: int
) -> None:
    """Make the report of one assessed day: frontline report 2025-01-08."""
    from tqdm import tqdm

    from helpers import reports
    from helpers.schema import optional_day, parse_day

    ws = find().known_by(optional_day(as_of, "--as-of"))
    asked = reports.request(ws, parse_day(day), source_id=source, compare_to=compare_to)
    with tqdm(total=None, unit="notebook", desc="Report", disable=None, leave=False) as bar:

        def advance(name: str, done: int, count: int) -> None:
            bar.total = count
            bar.set_postfix_str(name)
            bar.update(done - bar.n)

        index = reports.make(ws, asked, lanes=jobs, progress=advance)
    click.echo(index)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder. Default: site.")
@click.option("--base-url", default="", help="Where it will be published: https://...")
@click.pass_obj
def site(find: Callable[[], Workspace], out: Path | None, base_url: str) -> None:
    """Build the archive of all reports, for any static host."""
    from helpers import site as building

    built = building.build(find(), out, base_url=base_url)
    click.echo(f"{len(built.made)} files made, {built.kept} kept", err=True)
    if not base_url:
        click.echo("No sitemap.xml, and links in the feed are relative: no --base-url", err=True)
    click.echo(built.folder / "index.html")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rerun", is_flag=True, help="Make the report again, too, and compare.")
@click.option("--jobs", default=2, show_default=True, help="Notebooks run at the same time.")
@click.pass_obj
def verify(find: Callable[[], Workspace], folder: Path, jobs: int, *, rerun: bool) -> None:
    """Compare a report with its hashes: frontline verify reports/2025-01-08."""
    from helpers import verify as verifying

    ws = find()
    verdicts = [verifying.files(ws, folder)]
    if rerun and not verdicts[0].faults:
        verdicts.append(verifying.rerun(ws, folder, lanes=jobs))
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    for verdict, what in zip(verdicts, ("compared", "made again and compared"), strict=False):
        click.echo(f"{verdict.checked} files {what}, {len(verdict.faults)} faults")
        for line in (*verdict.faults, *verdict.notes):
            click.echo(f"  {line}")
    click.echo(f"SHA-256 of the manifest: {verdicts[0].digest}")
    if faults:
        sys.exit(1)


@main.command()
@click.argument("source", required=False)
@click.pass_obj
def ingest(find: Callable[[], Workspace], source: str | None) -> None:
    """Read what is new in data/raw, and only that."""
    from tqdm import tqdm

    from helpers import ingest as reading

    with tqdm(total=None, unit="file", disable=None, leave=False) as bar:

        def advance(name: str, done: int, count: int) -> None:
            bar.total = count
            bar.set_description(name)
            bar.update(done - bar.n)

        results = reading.run(find(), source, progress=advance)
    failed = 0
    for result in results:
        click.echo(
            f"{result.source}: {result.new} new, {result.unchanged} unchanged, "
            f"{result.removed} removed, {len(result.failed)} failed, "
            f"{result.quarantined} quarantined"
        )
        for path, message in result.failed:
            click.echo(f"  {path}: {message}", err=True)
        failed += len(result.failed)
    if failed:
        sys.exit(1)


@main.command()
@click.argument("source", required=False)
@click.option("--verbose", "-v", is_flag=True, help="List the notes of accepted days too.")
@click.pass_obj
def check(find: Callable[[], Workspace], source: str | None, *, verbose: bool) -> None:
    """Say which days can be trusted, and why the others cannot.

    Exit status: 0, or 1 if a file could not be read, or 3 if only days are quarantined.
    """
    from helpers import ingest as reading
    from helpers import inspection

    ws = find()
    unreadable = quarantined = 0
    for result in reading.run(ws, source):
        found = inspection.inspect(ws, result.source)
        for line in inspection.report(found, verbose=verbose):
            click.echo(line)
        unreadable += len(found.files)
        quarantined += found.count("quarantined")
    sys.exit(1 if unreadable else 3 if quarantined else 0)


@main.command()
@click.option("--source", required=True, help="Source id.")
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
    """Write maps for QGIS, DuckDB or R: a row a day and layer."""
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
@click.option("--source", required=True, help="Source id.")
@click.option(
    "--sector",
    "sector_keys",
    multiple=True,
    required=True,
    help="A sector, a box west,south,east,north, or 'all' for the whole map; repeatable.",
)
@click.option("--start", required=True, metavar="DATE", help="First assessed day.")
@click.option("--end", required=True, metavar="DATE", help="Last assessed day.")
@click.option("--tier", default="", help="Default: the sector's own.")
@click.option("--out", type=click.Path(path_type=Path), help="CSV file. Default: the terminal.")
@click.pass_obj
def measures(
    find: Callable[[], Workspace], /, sector_keys: tuple[str, ...], **options: Any
) -> None:
    """Measure sectors day by day: area, gains, losses, as CSV."""
    from helpers import measures as measuring
    from helpers import outputs, publishers, reference, snapshots
    from helpers.schema import parse_day

    ws = find()
    source = publishers.source(ws, options["source"])
    start, end = parse_day(options["start"], "--start"), parse_day(options["end"], "--end")
    sectors = [reference.sector(key, ws.sectors_file) for key in sector_keys if key != "all"]
    snapshots.ensure(ws, source.id)
    table = measuring.daily(
        snapshots.window(ws, source.id, start, end, lead_in=True),
        sectors,
        source=source,
        tier=options["tier"],
        border=reference.outer_edges(),
        whole="all" in sector_keys,
    )
    table = table[table["day"] >= str(start)]
    if options["out"]:
        click.echo(outputs.write_table(table, options["out"]))
    else:
        click.echo(outputs.table_text(table), nl=False)


@main.command()
@click.argument("start", metavar="START")
@click.argument("end", metavar="END")
@click.option("--sector", required=True, help="A sector, or a box west,south,east,north.")
@click.option("--source", default="", help="Source id. Default: the workspace's own.")
@click.option("--tier", default="", help="Default: the sector's own.")
@click.option("--phone", is_flag=True, help="For narrow screens.")
@click.option("--frames", is_flag=True, help="Write the single frames too.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder. Default: reports/drafts/figures."
)
@click.pass_obj
def animate(find: Callable[[], Workspace], /, start: str, end: str, **options: Any) -> None:
    """Animate a sector from day to day: GIF, MP4 if ffmpeg is there, and a still.

    frontline animate --sector toretsk 2024-12-08 2025-01-08
    """
    from tqdm import tqdm

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
    with tqdm(total=len(film.days), unit="frame", disable=None, leave=False) as bar:
        paths = animation.write(
            film, out, frames=options["frames"], progress=lambda done, _: bar.update(done - bar.n)
        )
    for path in paths:
        click.echo(path)


@main.command()
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder. Default: data/raw/reconstruction."
)
def reconstruct(out: Path | None) -> None:
    """Make the embedded sample again from the settlement facts (half a minute)."""
    from helpers import reconstruction, reference

    project = Workspace.at(PROJECT)
    home = project.raw / "reconstruction"
    written = reconstruction.write(
        home / "facts", project.claims_file, out or home, tuple(reference.sectors().values())
    )
    click.echo(f"{len(written)} days in {out or home}")


@main.command()
@click.argument("source")
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
@click.pass_obj
def fetch(find: Callable[[], Workspace], /, source: str, accept_terms: str, **options: Any) -> None:
    """Fetch a publisher's maps that are not in data/raw: frontline fetch deepstate.

    Exit status: 0, or 1 if something could not be had; what could is kept.
    """
    from tqdm import tqdm

    from helpers import endpoints
    from helpers import fetch as fetching

    ws = find()
    if accept_terms:
        if accept_terms != source:
            raise ParameterError(f"--accept-terms {accept_terms} is not the source {source}.")
        known = endpoints.load(ws, source)
        click.echo(f"Accepted:\n\n{fetching.terms(ws, known)}\n", err=True)
        fetching.accept(ws, known)
    with tqdm(total=None, unit="file", desc="Fetch", disable=None, leave=False) as bar:

        def advance(name: str, done: int, count: int) -> None:
            bar.total = count
            bar.set_postfix_str(name)
            bar.update(done - bar.n)

        done = fetching.run(ws, _asked(source, **options), progress=advance)
    for line in fetching.summary(done):
        click.echo(line)
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
    """Fetch, read, check, report and publish, for a timer to run every day.

    Exit status: 0 a report was made, 4 nothing new, 3 the newest day is quarantined, 1 something
    failed.
    """
    from helpers import daily as work
    from helpers import fetch as fetching
    from helpers import ingest as reading
    from helpers import reports, snapshots, web
    from helpers import site as building

    ws = find()

    def request(day: date) -> reports.Request:
        return reports.request(ws, day, source_id=source)

    steps = work.Steps(
        fetch=lambda: fetching.run(ws, _asked(source, **options)),
        ingest=lambda: reading.run(ws, source)[0].failed,
        quarantined=lambda: snapshots.quarantined(ws, source, date(2014, 1, 1), web.now().date()),
        days=lambda: snapshots.days(ws, source),
        has_report=lambda day: (reports.folder_of(ws, request(day)) / "index.html").is_file(),
        report=lambda day: reports.make(ws, request(day)),
        site=lambda: building.build(ws, base_url=base_url).folder / "index.html",
    )
    sys.exit(work.attempt(steps, click.echo))


@main.command()
def notebooks() -> None:
    """Run the committed notebooks again, in place, on the embedded sample."""
    from helpers import runner

    for path in runner.refresh(PROJECT / "notebooks", root=PROJECT):
        click.echo(path)


if __name__ == "__main__":
    main()
