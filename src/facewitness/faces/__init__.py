"""Find faces, follow them, refine their eyes: ``track_video`` gives one ``FaceTrack`` a face."""

from facewitness.faces.store import load_tracks, save_tracks
from facewitness.faces.tracker import TRACKERS, FaceTracker, track_video
from facewitness.faces.types import LEFT, RIGHT, FaceTrack

__all__ = ["LEFT", "RIGHT", "TRACKERS", "FaceTrack", "FaceTracker", "load_tracks", "save_tracks", "track_video"]
