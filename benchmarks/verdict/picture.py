"""The picture of docs/verdict.md: three charts of four lines each, as SVG with a ground of its own for light and dark pages."""

from collections.abc import Callable, Iterator, Sequence

from . import figures
from .run import RULES, Outcome
from .truth import BOUND

_WIDTH, _HEIGHT, _TOP, _SIDE, _LEFT, _GAP = 1000, 372, 96, 210, 64, 118
_DAYS = 30
_STYLES = ("ours", "a", "b", "c")
_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
  width="{width}" height="{height}" role="img" aria-labelledby="t d">
  <title id="t">The verdict beside three rivals</title>
  <desc id="d">{description}</desc>
  <style>
    .ground {{ fill: #f7f9fb; stroke: #d5dde5; }}
    .axis {{ fill: none; stroke: #7c8fa3; }}
    .grid {{ stroke: #dde4ea; }}
    .bound {{ stroke: #7c8fa3; stroke-dasharray: 3 3; }}
    text {{ font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #4a5b6c; text-anchor: middle; }}
    .title {{ font-size: 14px; font-weight: 600; fill: #1d2935; text-anchor: start; }}
    .left {{ text-anchor: start; }} .right {{ text-anchor: end; }}
    polyline {{ fill: none; stroke-width: 2; }}
    .ours {{ stroke: #1f6f8b; stroke-width: 3.4; }}
    .a {{ stroke: #c2410c; stroke-dasharray: 9 4; }}
    .b {{ stroke: #7c3aed; stroke-dasharray: 2 3; }}
    .c {{ stroke: #6b7280; stroke-dasharray: 7 3 2 3; }}
    @media (prefers-color-scheme: dark) {{
      .ground {{ fill: #131a21; stroke: #2c3a47; }}
      .axis, .bound {{ stroke: #8b9dae; }}
      .grid {{ stroke: #26323d; }}
      text {{ fill: #a9b8c6; }}
      .title {{ fill: #e6edf3; }}
      .ours {{ stroke: #4fb3d1; }} .a {{ stroke: #fb923c; }} .b {{ stroke: #a78bfa; }} .c {{ stroke: #9ca3af; }}
    }}
  </style>
  <rect class="ground" x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8"/>
"""
_DESCRIPTION = (
    "Left: how often each rule says ready, by the true share of sessions that enforce would refuse. "
    "Middle: share of clean domains that are called ready, by day. "
    "Right: share of faults under enforce that have raised an alarm, by days since the first refused session."
)

Points = list[tuple[float, float]]  # both 0 to 1


def drawn(outcomes: Sequence[Outcome]) -> str:
    """The SVG text."""
    head = _HEAD.format(
        width=_WIDTH, height=_HEIGHT, inner_width=_WIDTH - 1, inner_height=_HEIGHT - 1, description=_DESCRIPTION
    )
    charts = [*_legend(), *_by_rate(outcomes, 0), *_until_ready(outcomes, 1), *_until_alarm(outcomes, 2)]
    return head + "\n".join(f"  {line}" for line in charts) + "\n</svg>\n"


def _legend() -> Iterator[str]:
    for number, (rule, style) in enumerate(zip(RULES, _STYLES, strict=True)):
        x = _LEFT + number * 220
        yield f'<polyline class="{style}" points="{x},26 {x + 34},26"/>'
        yield _text(x + 42, 30, rule, "left")


def _by_rate(outcomes: Sequence[Outcome], place: int) -> Iterator[str]:
    """Worlds of one constant rate, side by side: the bound lies between two of them."""
    shares = figures.false_ready_by_rate(outcomes)
    rates = list(shares)
    steps = max(len(rates) - 1, 1)
    yield from _frame(place, "Says “ready” at a true refusal rate of")
    if BOUND in rates:
        x = _x(place, rates.index(BOUND) / steps)
        yield f'<line class="bound" x1="{x}" y1="{_y(0)}" x2="{x}" y2="{_y(1)}"/>'
        yield _text(x + 4, _y(0.12), "bound", "left")
    for number, rate in enumerate(rates):
        label = f"{rate * 100:g} %"
        yield _text(_x(place, number / steps), _y(0) + 18 + 14 * (number % 2), label)
    for rule, style in enumerate(_STYLES):
        yield _line(place, style, [(number / steps, shares[rate][rule].value) for number, rate in enumerate(rates)])


def _until_ready(outcomes: Sequence[Outcome], place: int) -> Iterator[str]:
    yield from _frame(place, "Clean domains called “ready”, by day")
    yield from _day_axis(place)
    yield from _shares(place, lambda rule: figures.to_ready(outcomes, rule))


def _until_alarm(outcomes: Sequence[Outcome], place: int) -> Iterator[str]:
    yield from _frame(place, "Alarms, by days since mail is refused")
    yield from _day_axis(place)
    yield from _shares(place, lambda rule: figures.to_alarm(outcomes, rule))


def _shares(place: int, delays: Callable[[int], figures.Delays]) -> Iterator[str]:
    """Of all worlds, the share in which it had happened by each day."""
    for rule, style in enumerate(_STYLES):
        known = delays(rule)
        days = range(_DAYS + 1)
        happened = [sum(delay <= day for delay in known.happened) / max(len(known.days), 1) for day in days]
        yield _line(place, style, [(day / _DAYS, share) for day, share in zip(days, happened, strict=True)])


def _day_axis(place: int) -> Iterator[str]:
    for day in range(0, _DAYS + 1, 5):
        yield _text(_x(place, day / _DAYS), _y(0) + 18, str(day))


def _frame(place: int, title: str) -> Iterator[str]:
    yield _text(_x(place, 0) - 34, _TOP - 22, title, "title")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield f'<line class="grid" x1="{_x(place, 0)}" y1="{_y(share)}" x2="{_x(place, 1)}" y2="{_y(share)}"/>'
        yield _text(_x(place, 0) - 6, _y(share) + 4, f"{share:.0%}", "right")
    yield f'<polyline class="axis" points="{_x(place, 0)},{_y(1)} {_x(place, 0)},{_y(0)} {_x(place, 1)},{_y(0)}"/>'


def _line(place: int, style: str, points: Points) -> str:
    drawn_points = " ".join(f"{_x(place, across)},{_y(up)}" for across, up in points)
    return f'<polyline class="{style}" points="{drawn_points}"/>'


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}"{f" class={chr(34)}{style}{chr(34)}" if style else ""}>{words}</text>'


def _x(place: int, across: float) -> float:
    return round(_LEFT + place * (_SIDE + _GAP) + across * _SIDE, 1)


def _y(up: float) -> float:
    return round(_TOP + (1 - up) * _SIDE, 1)
