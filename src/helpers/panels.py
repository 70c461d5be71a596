"""Parts of a page with coordinates of their own: where a map lies, or a chart."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import (
    Bbox,
    BboxTransformFrom,
    BboxTransformTo,
    Transform,
    TransformedBbox,
)


class Panel(Artist):
    """A rectangle of the page with coordinates of its own, in which artists are drawn and clipped.

    What `matplotlib.axes.Axes` would be without axes: there are no ticks, spines or limits that
    follow the data, whose making takes longer than drawing most of what stands in a panel.

    Parameters
    ----------
    figure
        The page; adding the panel to it, or to another panel, is the caller's.
    place
        Left, bottom, width and height as shares of the page, or of what `inside` maps to.
    bounds
        Coordinates of its edges: x0, y0, x1, y1.
    facecolor
        Of its ground.
    inside
        Maps shares to pixels where it does not stand on the page itself: another's `shares`.
    **look
        Other properties of an artist.

    Attributes
    ----------
    bounds
        As given.
    artists
        What stands in it, in the order in which those of one zorder are drawn.
    place
        As given, or as moved.
    box
        The same in pixels.
    shares, data
        Shares of it, and its coordinates, to pixels.
    """

    def __init__(
        self,
        figure: Figure,
        place: tuple[float, float, float, float],
        bounds: tuple[float, float, float, float],
        *,
        facecolor: str = "none",
        inside: Transform | None = None,
        **look: Any,
    ) -> None:
        super().__init__()
        self._page = figure
        self.set(figure=figure, **look)
        self.bounds = bounds
        self.artists: list[Artist] = []
        self.place = Bbox.from_bounds(*place)
        self.box = TransformedBbox(self.place, inside or figure.transSubfigure)
        self.shares = BboxTransformTo(self.box)
        x0, y0, x1, y1 = bounds
        self.data = BboxTransformFrom(Bbox([[x0, y0], [x1, y1]])) + self.shares
        self._patch = Rectangle((0, 0), 1, 1, facecolor=facecolor, edgecolor="none")
        self._patch.set(figure=figure, transform=self.shares)

    def move(self, place: tuple[float, float, float, float]) -> None:
        """Give it another place."""
        self.place.bounds = place

    def add(self, artist: Artist) -> None:
        """Put an artist into it, in its coordinates unless it has some of its own."""
        artist.set_figure(self._page)
        if not artist.is_transform_set():
            artist.set_transform(self.data)
        artist.set_clip_box(self.box)
        self.artists.append(artist)

    def get_children(self) -> list[Artist]:
        """All that is drawn of it."""
        return [*self.artists, self._patch]

    def get_window_extent(self, renderer: Any = None) -> Any:  # noqa: ARG002
        """Its place in pixels."""
        return self.box

    def draw(self, renderer: Any) -> None:
        """Draw the ground, then what stands on it."""
        renderer.open_group("panel", gid=self.get_gid())
        self._patch.draw(renderer)
        for artist in sorted(self.artists, key=Artist.get_zorder):
            artist.draw(renderer)
        renderer.close_group("panel")
        self.stale = False
