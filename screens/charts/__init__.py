"""Geometry of every picture, as numbers and strings for SVG attributes.

PURE: the standard library only, no clock, no random, no framework. Nothing here knows a colour.
"""

from screens.charts.bars import Part, Segment, StackedBar, stacked_bar
from screens.charts.flow import FlowFigures, FlowPicture, flow_picture
from screens.charts.lines import (
    Event,
    LineChart,
    Point,
    Series,
    Sparkline,
    line_chart,
    sparkline,
)
from screens.charts.scales import Scale, plain, ticks

__all__ = [
    "Event",
    "FlowFigures",
    "FlowPicture",
    "LineChart",
    "Part",
    "Point",
    "Scale",
    "Segment",
    "Series",
    "Sparkline",
    "StackedBar",
    "flow_picture",
    "line_chart",
    "plain",
    "sparkline",
    "stacked_bar",
    "ticks",
]
