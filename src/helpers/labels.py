"""Where the words of a map go: a greedy placer that never overlaps, on plain boxes in pixels.

The first come keeps its place, so the caller's order is the order of importance. A box may not
touch what is reserved; among the free positions the one with the smallest cost wins, the cost being
a position's own penalty and what it would cover. The same input gives the same places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

# Eight positions round a point, best first: where the box's nearest corner or edge lies, as a
# direction, and how much worse it is than the first. Right of the point is what readers expect
# (Imhof 1975, Positioning Names on Maps).
_ROUND = (
    ((1.0, 0.0), 0.0),
    ((1.0, 1.0), 1.0),
    ((1.0, -1.0), 1.2),
    ((-1.0, 0.0), 1.4),
    ((-1.0, 1.0), 2.2),
    ((-1.0, -1.0), 2.4),
    ((0.0, 1.0), 2.0),
    ((0.0, -1.0), 2.2),
)


# Positions that are looked at together.
_AT_A_TIME = 128


@dataclass(frozen=True)
class Size:
    """Width, ascent and descent of a line of text (or of any box), pixels."""

    width: float
    ascent: float
    descent: float

    @property
    def height(self) -> float:
        """Ascent and descent together."""
        return self.ascent + self.descent

    def padded(self, air: float) -> Size:
        """The same with air on all sides; the text itself starts `air` further right."""
        return Size(self.width + 2 * air, self.ascent + air, self.descent + air)


@dataclass(frozen=True)
class Spot:
    """A possible position: left end of the baseline, and what is wrong with it."""

    x: float
    y: float
    penalty: float = 0.0

    def box(self, size: Size, margin: float = 0.0) -> Box:
        """Ground that a text of this size covers here: x0, y0, x1, y1."""
        return (
            self.x - margin,
            self.y - size.descent - margin,
            self.x + size.width + margin,
            self.y + size.ascent + margin,
        )


class Spots(NamedTuple):
    """Many possible positions: arrays of one length, as the fields of `Spot`."""

    x: FloatArray
    y: FloatArray
    penalty: FloatArray

    @classmethod
    def of(cls, spots: Iterable[Spot]) -> Spots:
        """The same positions as arrays."""
        rows = [(spot.x, spot.y, spot.penalty) for spot in spots]
        return cls(*np.array(rows, dtype=float).reshape(-1, 3).T)

    def boxes(self, size: Size, margin: float = 0.0) -> FloatArray:
        """Ground that a text of this size covers at each, shape ``(n, 4)``."""
        spots = Spot(self.x, self.y)  # type: ignore[arg-type]  # the same sums, of arrays
        return np.stack(spots.box(size, margin), axis=1)

    def spot(self, index: int) -> Spot:
        """One of them."""
        return Spot(*(float(column[index]) for column in self))

    def take(self, which: npt.NDArray[np.intp]) -> Spots:
        """Some of them."""
        return Spots(*(column[which] for column in self))


def around(x: float, y: float, gap: float, size: Size) -> list[Spot]:
    """Eight positions of a label round a symbol.

    Parameters
    ----------
    x, y
        Centre of the symbol.
    gap
        From there to the nearest edge of the text.
    size
        Of the text.

    Returns
    -------
    list of Spot
        The customary position first.
    """
    spots = []
    for (across, up), penalty in _ROUND:
        # A corner position hugs the symbol: its gap is shared between the two directions.
        reach = gap if 0 in (across, up) else 0.7 * gap
        left = {1.0: x + reach, 0.0: x - size.width / 2, -1.0: x - reach - size.width}[across]
        middle = y - (size.ascent - size.descent) / 2
        bottom = {1.0: y + reach + size.descent, 0.0: middle, -1.0: y - reach - size.ascent}[up]
        spots.append(Spot(left, bottom, penalty))
    return spots


# From this cosine of its direction on a leader is as good as level; what that costs.
_LEVEL, _MINUS = 0.9, 2.5


def ring(x: float, y: float, radii: Sequence[float], size: Size) -> list[Spot]:
    """Positions of a callout on rings round its anchor, the nearer the better.

    A leader that comes from the left reads as a minus before a number, so that is the last resort
    of a ring and the one after it.
    """
    spots = []
    for radius in radii:
        for turn in np.arange(16) * np.pi / 8:
            across, up = float(np.cos(turn)), float(np.sin(turn))
            centre_x = x + across * (radius + size.width / 2)
            centre_y = y + up * (radius + size.height / 2)
            spots.append(
                Spot(
                    centre_x - size.width / 2,
                    centre_y - size.height / 2 + size.descent,
                    radius / 12 + _MINUS * (across > _LEVEL),
                )
            )
    return spots


class Layout:
    """The state of one map's placing.

    Parameters
    ----------
    width, height
        Of the map, pixels; the origin is its lower left corner.
    margin
        Room kept free along the edges, pixels.
    """

    # Cells of the cost grid, pixels.
    CELL = 4.0

    def __init__(self, width: float, height: float, *, margin: float = 6.0) -> None:
        self.width, self.height, self.margin = width, height, margin
        shape = (int(height // self.CELL) + 1, int(width // self.CELL) + 1)
        self._heat: FloatArray = np.zeros(shape)
        self._sums: FloatArray | None = None
        # Reserved boxes, and room for as many again.
        self._room: FloatArray = np.empty((64, 4))
        self._taken = 0

    @property
    def _boxes(self) -> FloatArray:
        return self._room[: self._taken]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the cost grid."""
        rows, columns = self._heat.shape
        return rows, columns

    def heat_cells(self, cells: npt.NDArray[np.bool_], cost: float) -> None:
        """Make covering these cells of the grid cost something (a cell, not a pixel)."""
        self._heat += cost * cells
        self._sums = None

    def heat_points(self, xy: FloatArray, cost: float) -> None:
        """Make covering the cells under these points, shape ``(n, 2)``, cost something."""
        index = (xy // self.CELL).astype(int)
        rows, columns = self._heat.shape
        inside = (index >= 0).all(axis=1) & (index[:, 0] < columns) & (index[:, 1] < rows)
        hit = np.zeros(self._heat.shape, dtype=bool)
        hit[index[inside, 1], index[inside, 0]] = True
        self.heat_cells(hit, cost)

    def cost(self, box: Box) -> float:
        """What a box would cover, added up over the cells of the grid."""
        return float(self._costs(np.array([box]))[0])

    def _costs(self, boxes: FloatArray) -> FloatArray:
        if self._sums is None:
            self._sums = np.pad(self._heat.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        cells = np.add(boxes, [0, 0, self.CELL, self.CELL]) // self.CELL
        rows, columns = self._heat.shape
        x0, y0, x1, y1 = np.clip(cells, 0, [columns, rows] * 2).astype(int).T
        sums = self._sums
        costs: FloatArray = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        return np.maximum(costs, 0)  # sums of sums: nothing may come out as a little less

    def is_free(self, box: Box, margin: float | None = None) -> bool:
        """Whether a box keeps clear of the edges and touches nothing that is reserved."""
        return bool(self._free(np.array([box]), self.margin if margin is None else margin)[0])

    def _free(self, boxes: FloatArray, margin: float) -> npt.NDArray[np.bool_]:
        x0, y0, x1, y1 = boxes.T[..., None]
        left, low, right, high = self._boxes.T
        touch = ((x0 < right) & (left < x1) & (y0 < high) & (low < y1)).any(axis=1)
        edges = [margin, margin, margin - self.width, margin - self.height]
        clear: npt.NDArray[np.bool_] = (boxes * [1, 1, -1, -1] >= edges).all(axis=1) & ~touch
        return clear

    def reserve(self, box: Box) -> None:
        """Keep everything that comes later off a box."""
        if self._taken == len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        self._room[self._taken] = box
        self._taken += 1

    def reserve_line(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Keep everything that comes later off a thin line."""
        for x, y in _steps(start, end, 6.0):
            self.reserve((x - 3, y - 3, x + 3, y + 3))

    def line_is_free(self, start: tuple[float, float], end: tuple[float, float]) -> bool:
        """Whether a thin line touches nothing that is reserved."""
        x, y = np.array(_steps(start, end, 3.0)).T[..., None]
        left, low, right, high = self._boxes.T
        return not ((left < x) & (x < right) & (low < y) & (y < high)).any()

    def best(
        self,
        spots: Spots | Iterable[Spot],
        size: Size,
        *,
        margin: float = 2.0,
        also: Callable[[Spot], bool] = lambda _: True,
    ) -> Spot | None:
        """Choose the cheapest free position.

        Parameters
        ----------
        spots
            The possible positions; of two equally good ones the first wins.
        size
            Of the text.
        margin
            Air round it, pixels.
        also
            What else a position must be; asked only of those that would win.

        Returns
        -------
        Spot or None
            None if no position is free. Nothing is reserved.
        """
        several = spots if isinstance(spots, Spots) else Spots.of(spots)
        chosen, least = -1, np.inf
        # The promising first, some at a time: most of the others need not be looked at.
        order = np.argsort(several.penalty, kind="stable")
        for start in range(0, len(order), _AT_A_TIME):
            some = order[start : start + _AT_A_TIME]
            if several.penalty[some[0]] > least:
                break
            here = several.take(some)
            free = np.flatnonzero(self._free(here.boxes(size, margin), self.margin))
            totals = here.penalty[free] + self._costs(here.boxes(size)[free])
            for total, index in zip(totals.tolist(), some[free].tolist(), strict=True):
                better = total < least or (total == least and index < chosen)
                if better and also(several.spot(index)):
                    chosen, least = index, total
        return None if chosen < 0 else several.spot(chosen)

    def place(
        self,
        spots: Spots | Iterable[Spot],
        size: Size,
        *,
        margin: float = 2.0,
        also: Callable[[Spot], bool] = lambda _: True,
    ) -> Spot | None:
        """Choose the cheapest free position (see `best`) and reserve it."""
        spot = self.best(spots, size, margin=margin, also=also)
        if spot is not None:
            self.reserve(spot.box(size, margin))
        return spot


def spots_within(
    cells: npt.NDArray[np.bool_], size: Size, *, pull: float = 0.05, step: int = 3
) -> Spots:
    """Positions at which a text lies wholly in some ground.

    Parameters
    ----------
    cells
        The ground, on the cost grid of a `Layout`.
    size
        Of the text.
    pull
        Penalty for each pixel away from the middle of the ground.
    step
        Distance of two positions, cells.

    Returns
    -------
    Spots
        None if the text does not fit.
    """
    across, up = (int(-(-length // Layout.CELL)) + 1 for length in (size.width, size.height))
    rows, columns = cells.shape
    if not cells.any() or up > rows or across > columns:
        return Spots.of([])
    sums = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    covered = sums[up:, across:] - sums[:-up, across:] - sums[up:, :-across]
    fits = (covered + sums[:-up, :-across]) == up * across
    where_y, where_x = np.nonzero(fits[::step, ::step])
    x = where_x * step * Layout.CELL + Layout.CELL / 2
    y = where_y * step * Layout.CELL + Layout.CELL / 2 + size.descent
    middle_y, middle_x = (_median(cells.sum(axis=axis)) * Layout.CELL for axis in (1, 0))
    away = np.hypot(x + size.width / 2 - middle_x, y + size.height / 2 - middle_y)
    return Spots(np.asarray(x, float), np.asarray(y, float), pull * away)


def _median(counts: npt.NDArray[np.int_]) -> float:
    """Median of numbers of which it is known how often each of 0, 1, 2 ... is there."""
    up_to = counts.cumsum()
    count = int(up_to[-1])
    low, high = np.searchsorted(up_to, [(count + 1) // 2, count // 2 + 1])
    return float(low + high) / 2


@lru_cache(maxsize=8)
def cell_centres(shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """X and y of the cells of a cost grid of so many rows and columns, pixels, of that shape."""
    rows, columns = shape
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    return x * Layout.CELL, y * Layout.CELL


def _steps(
    start: tuple[float, float], end: tuple[float, float], step: float
) -> list[tuple[float, float]]:
    count = max(int(np.hypot(end[0] - start[0], end[1] - start[1]) / step), 1)
    shares = np.linspace(0, 1, count + 1)
    return [
        (float(start[0] + s * (end[0] - start[0])), float(start[1] + s * (end[1] - start[1])))
        for s in shares
    ]
