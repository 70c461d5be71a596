"""Where things live. Opens nothing, makes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from helpers.errors import WorkspaceError

# The checkout that this package is installed from (`pip install -e .`).
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Workspace:
    """A folder with ``data/raw/<source>/``; everything else in it is made from that.

    Attributes
    ----------
    root
        Absolute path of the folder.
    as_of
        What was known by the end of this day is all that is seen; None for everything.
    """

    root: Path
    as_of: date | None = None

    @classmethod
    def at(cls, root: str | Path) -> Workspace:
        """Take a folder as the workspace.

        Parameters
        ----------
        root
            An existing folder.

        Returns
        -------
        Workspace
            With an absolute root.

        Raises
        ------
        WorkspaceError
            If there is no such folder.
        """
        path = Path(root).expanduser().resolve()
        if not path.is_dir():
            raise WorkspaceError(
                f"There is no folder {path}. Make it, put a source's files into "
                f"{path / 'data' / 'raw'}/<source>/, and run again."
            )
        return cls(path)

    @classmethod
    def find(cls) -> Workspace:
        """Find the workspace of a notebook or a command.

        Returns
        -------
        Workspace
            The folder named by the environment variable FRONTLINE_ROOT; else the nearest folder at
            or above the current one that has ``data/raw``; else the project's own checkout.
        """
        named = os.environ.get("FRONTLINE_ROOT")
        if named:
            return cls.at(named)
        here = Path.cwd().resolve()
        for folder in (here, *here.parents):
            if (folder / "data" / "raw").is_dir():
                return cls(folder)
        return cls.at(PROJECT)

    def known_by(self, day: date | None) -> Workspace:
        """Same folder, seen as it was known by the end of a day; None for as it is known now."""
        return replace(self, as_of=day)

    @property
    def raw(self) -> Path:
        """Published files, a folder a source, never edited."""
        return self.root / "data" / "raw"

    @property
    def processed(self) -> Path:
        """What ingest makes of them; disposable."""
        return self.root / "data" / "processed"

    @property
    def sectors_file(self) -> Path:
        """The analyst's own sectors (GeoJSON); need not exist."""
        return self.root / "data" / "sectors.geojson"

    @property
    def claims_file(self) -> Path:
        """The claims ledger (CSV); need not exist."""
        return self.raw / "claims" / "claims.csv"

    @property
    def reports(self) -> Path:
        """Finished reports, a folder a date."""
        return self.root / "reports"

    @property
    def notebooks(self) -> Path:
        """The notebooks: the workspace's own where it has them, else the project's."""
        own = self.root / "notebooks"
        if any(own.glob("[0-9][0-9]-*.ipynb")):
            return own
        packaged = Path(__file__).resolve().parent / "notebooks"
        return packaged if packaged.is_dir() else PROJECT / "notebooks"

    @property
    def output(self) -> Path:
        """Where a running notebook puts its figures and tables.

        The runner names the folder of the report being made in FRONTLINE_OUTPUT; a notebook that an
        analyst runs by hand writes to ``reports/drafts``.
        """
        named = os.environ.get("FRONTLINE_OUTPUT")
        return Path(named) if named else self.reports / "drafts"
