"""Screens and reports: what was made, proved and found, for people who look rather than read."""

from facewitness.dashboard.clips import ReportClip, Still, stills_of
from facewitness.dashboard.report import demo_report, write_report
from facewitness.dashboard.traces import Traces, load_traces, save_traces, traces_of

__all__ = [
    "ReportClip",
    "Still",
    "Traces",
    "demo_report",
    "load_traces",
    "save_traces",
    "stills_of",
    "traces_of",
    "write_report",
]
