"""Cues: small measurements of eyes, motion and surface, each with its trace, its needs and its source."""

from facewitness.detector.cues.registry import Abstained, Cue, Measured, Needs, cue, get_cue, list_cues, run_cue

__all__ = ["Abstained", "Cue", "Measured", "Needs", "cue", "get_cue", "list_cues", "run_cue"]
