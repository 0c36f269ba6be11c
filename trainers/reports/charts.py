"""Charts as inline SVG, coloured by the page's style so that they follow light and dark."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from trainers.reports.html import Html, escape

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 38, 44
_TICKS = 5
_POINTS = 2000  # of a scatter; more only make the file large
_MARKED = 40  # lines with at most this many points show each of them

Range = tuple[float, float]
Points = Sequence[tuple[float, float]]


def lines(
    series: Mapping[str, Points],
    x_label: str,
    y_label: str,
    *,
    x_range: Range | None = None,
    y_range: Range | None = None,
    diagonal: bool = False,
    mark: tuple[float, str] | None = None,
) -> Html:
    """Line charts over common axes, with a legend where there are several.

    Args:
        series: name -> (x, y) pairs; pairs that are not finite are left out.
        diagonal: whether to draw x = y.
        mark: an x and its label, drawn as a vertical line.
    """
    kept = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in series.items()
    }
    everything = [point for points in kept.values() for point in points] or [(0.0, 0.0)]
    x_range = x_range or _span([x for x, _ in everything], margin=0.0)
    y_range = y_range or _span([y for _, y in everything])
    across, up = _scales(x_range, y_range)
    parts = [_diagonal(x_range, y_range)] if diagonal else []
    if mark is not None:
        x = across(mark[0])
        side = "end" if x > _WIDTH / 2 else "start"
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text class="mark" x="{x:.1f}" y="{_TOP - 5}" text-anchor="{side}">'
            f"{escape(mark[1])}</text>"
        )
    for i, (name, points) in enumerate(kept.items()):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="line s{i}" points="{path}"/>')
        if len(points) <= _MARKED and not diagonal:
            parts += [
                f'<circle class="dot s{i}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.6">'
                f"<title>{escape(name)}: {y:.5g} at {x:g}</title></circle>"
                for x, y in points
            ]
    if len(kept) > 1:
        parts.append(_legend(list(kept)))
    whole = all(float(x).is_integer() for x, _ in everything) and x_range[1] - x_range[0] != 1
    return _frame(x_range, y_range, x_label, y_label, "".join(parts), whole=whole)


def scatter(x: np.ndarray, y: np.ndarray, x_label: str, y_label: str) -> Html:
    """Points over equal axes with the diagonal; at most 2000 of them, evenly spaced."""
    index = np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(np.int64)
    both = _span([*map(float, x), *map(float, y)])
    across, up = _scales(both, both)
    dots = "".join(
        f'<circle class="point" cx="{across(x[i]):.1f}" cy="{up(y[i]):.1f}" r="2.2"/>'
        for i in index
    )
    return _frame(both, both, x_label, y_label, _diagonal(both, both) + dots)


def bubbles(x: np.ndarray, y: np.ndarray, weight: np.ndarray, x_label: str, y_label: str) -> Html:
    """Points between 0 and 1 with the diagonal, each as large as its weight.

    Args:
        weight: counts; points without any are left out.
    """
    unit = (0.0, 1.0)
    across, up = _scales(unit, unit)
    parts = [_diagonal(unit, unit)]
    filled = np.flatnonzero(weight)
    path = " ".join(f"{across(x[i]):.1f},{up(y[i]):.1f}" for i in filled)
    parts.append(f'<polyline class="line s0" points="{path}"/>')
    for i in filled:
        radius = 2.5 + 9.5 * math.sqrt(weight[i] / weight.sum())
        parts.append(
            f'<circle class="bubble" cx="{across(x[i]):.1f}" cy="{up(y[i]):.1f}" r="{radius:.1f}">'
            f"<title>{weight[i]} rows: {escape(x_label)} {x[i]:.3f}, {escape(y_label)} {y[i]:.3f}"
            "</title></circle>"
        )
    return _frame(unit, unit, x_label, y_label, "".join(parts))


def histogram(edges: np.ndarray, counts: np.ndarray, x_label: str, y_label: str) -> Html:
    """Bars between edges (bins + 1,)."""
    x_range, y_range = (float(edges[0]), float(edges[-1])), (0.0, max(1.0, float(counts.max())))
    across, up = _scales(x_range, y_range)
    bars = "".join(
        f'<rect class="bar" x="{across(low) + 0.5:.1f}" y="{up(n):.1f}" '
        f'width="{max(across(high) - across(low) - 1, 0.5):.1f}" height="{up(0) - up(n):.1f}">'
        f"<title>{low:.4g} to {high:.4g}: {n}</title></rect>"
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    )
    return _frame(x_range, y_range, x_label, y_label, bars)


def ticks(low: float, high: float, number: int = _TICKS, *, whole: bool = False) -> list[float]:
    """Round numbers from `low` to `high`, about `number` of them: steps of 1, 2 or 5."""
    if not high > low:
        return [low]
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Sequence[float], margin: float = 0.05) -> Range:
    """Lowest and highest with a little room; never empty."""
    low, high = min(values), max(values)
    room = (high - low) * margin or (0.0 if high > low else max(abs(high) * 0.1, 0.5))
    return low - room, high + room


def _scales(x_range: Range, y_range: Range):
    """Functions from data to the picture's coordinates."""
    (x0, x1), (y0, y1) = x_range, y_range
    across = lambda x: _LEFT + (x - x0) / (x1 - x0) * (_WIDTH - _LEFT - _RIGHT)
    up = lambda y: _HEIGHT - _BOTTOM - (y - y0) / (y1 - y0) * (_HEIGHT - _TOP - _BOTTOM)
    return across, up


def _diagonal(x_range: Range, y_range: Range) -> str:
    across, up = _scales(x_range, y_range)
    (x0, x1), (y0, y1) = x_range, y_range
    low, high = max(x0, y0), min(x1, y1)
    return (
        f'<line class="diagonal" x1="{across(low):.1f}" y1="{up(low):.1f}" '
        f'x2="{across(high):.1f}" y2="{up(high):.1f}"/>'
    )


def _legend(names: Sequence[str]) -> str:
    parts, x = [], float(_LEFT)
    for i, name in enumerate(names):
        parts.append(
            f'<line class="line s{i}" x1="{x:.0f}" x2="{x + 18:.0f}" y1="12" y2="12"/>'
            f'<text x="{x + 24:.0f}" y="16">{escape(name)}</text>'
        )
        x += 24 + 7.2 * len(name) + 22
    return "".join(parts)


def _frame(
    x_range: Range, y_range: Range, x_label: str, y_label: str, body: str, *, whole: bool = False
) -> Html:
    """The picture: grid, numbers, names of the axes, then the content."""
    across, up = _scales(x_range, y_range)
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    shown = ticks(*y_range)
    for y, label in zip(shown, _labels(shown), strict=True):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>'
            f'<text x="{_LEFT - 7}" y="{up(y) + 4:.1f}" text-anchor="end">{label}</text>'
        )
    shown = ticks(*x_range, number=6, whole=whole)
    for x, label in zip(shown, _labels(shown), strict=True):
        parts.append(
            f'<line class="axis" x1="{across(x):.1f}" x2="{across(x):.1f}" y1="{bottom}" '
            f'y2="{bottom + 4}"/><text x="{across(x):.1f}" y="{bottom + 17}" '
            f'text-anchor="middle">{label}</text>'
        )
    middle = (_TOP + bottom) / 2
    return Html(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} over {escape(x_label)}">{"".join(parts)}'
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}'
        f'</text><text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>{body}</svg>"
    )


def _labels(values: Sequence[float]) -> list[str]:
    """Labels of an axis, all with as many decimals as one of them needs: 0.90, 0.95; 10k, 20k."""
    largest = max(map(abs, values))
    for size, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if largest >= size:
            shown = _distinct_labels([value / unit for value in values])
            return [f"{text}{letter}" if text != "0" else "0" for text in shown]
    shown = _distinct_labels(values)
    if any("e" in text for text in shown):
        return shown
    decimals = max(len(text.partition(".")[2]) for text in shown)
    return [f"{value:.{decimals}f}" for value in values]


def _distinct_labels(values: Sequence[float]) -> list[str]:
    """Numbers in six digits, or in as many more as they need to differ."""
    shown = []
    for digits in range(6, 17):
        shown = [f"{value:.{digits}g}" for value in values]
        if len(set(shown)) == len(set(values)):
            break
    return shown
