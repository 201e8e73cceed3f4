"""A judge for ``bench/edits.py``: MediaPipe's FaceLandmarker, frame by frame; no part of the generator works with it.

    python bench/blendshapes.py VIDEO --task face_landmarker.task [--seconds S]

Runs in an environment of its own (``pip install mediapipe av numpy``) and prints one JSON object a line for every frame
with a face: ``t`` (seconds), ``scores`` (the 52 blendshapes by name, 0..1), ``yaw``, ``pitch``, ``roll`` of the head,
``gaze_yaw`` and ``gaze_pitch`` (degrees, mean of both eyes, right and down positive), ``width`` (of the face over
its height).
"""

import argparse
import json
from pathlib import Path

import av
import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

EYES = ((33, 133, 468), (263, 362, 473))
"""Outer corner, inner corner and iris of the person's right and left eye; the iris's rim follows its centre."""
SIDES, TOP, CHIN = (234, 454), 10, 152
IRIS_CM, EYEBALL_CM = 1.17, 1.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(args.task)), running_mode=vision.RunningMode.VIDEO,
        output_face_blendshapes=True, output_facial_transformation_matrixes=True, num_faces=1,
    )  # fmt: skip
    judge, last = vision.FaceLandmarker.create_from_options(options), -1
    with av.open(str(args.video)) as file:
        for frame in file.decode(video=0):
            if frame.time > args.seconds:
                break
            last = max(int(frame.time * 1000), last + 1)
            image = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            seen = judge.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=image), last)
            if seen.face_blendshapes:
                print(json.dumps({"t": frame.time, **row(seen, frame.width, frame.height)}))


def row(seen, width: int, height: int) -> dict:
    points = np.array([[p.x * width, -p.y * height, -p.z * width] for p in seen.face_landmarks[0]])
    turn = np.asarray(seen.facial_transformation_matrixes[0])[:3, :3]
    turn = turn / np.cbrt(np.linalg.det(turn))
    head = points @ turn  # the head's own frame: x to the picture's right, y up, z towards the camera
    angles = [gaze(head, points, *eye) for eye in EYES]
    high = np.linalg.norm(head[TOP, :2] - head[CHIN, :2])
    return {
        "scores": {c.category_name: c.score for c in seen.face_blendshapes[0]},
        "yaw": float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2]))),
        "pitch": float(np.degrees(np.arcsin(-turn[1, 2]))),
        "roll": float(np.degrees(np.arctan2(turn[1, 0], turn[1, 1]))),
        "gaze_yaw": float(np.mean([a[0] for a in angles])),
        "gaze_pitch": float(np.mean([a[1] for a in angles])),
        "width": float(np.linalg.norm(head[SIDES[0], :2] - head[SIDES[1], :2]) / high),
    }


def gaze(head: np.ndarray, points: np.ndarray, outer: int, inner: int, iris: int) -> tuple[float, float]:
    """Degrees from how far the iris lies beside the middle of the eye's corners; the iris's own size is the scale."""
    rim = points[iris + 1 : iris + 5, :2]
    size = max(np.linalg.norm(rim[0] - rim[2]), np.linalg.norm(rim[1] - rim[3]))
    offset = (head[iris, :2] - (head[outer, :2] + head[inner, :2]) / 2) * IRIS_CM / size
    reach = np.sqrt(EYEBALL_CM**2 - (IRIS_CM / 2) ** 2)
    x, y = np.degrees(np.arcsin(np.clip(offset / reach, -1, 1)))
    return float(x), float(-y)


if __name__ == "__main__":
    main()
