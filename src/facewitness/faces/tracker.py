"""Follow the faces of a video: find them once, look again where they were, find them anew when lost or after a cut."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.faces import landmarks as lm
from facewitness.faces.attention import CarefulMesh
from facewitness.faces.covered import PARTS, uncovered
from facewitness.faces.networks import Detection, Detector, IrisNetwork, MeshNetwork, Roi, Seen, overlap, roi_of_mesh
from facewitness.faces.types import FaceTrack
from facewitness.media.limits import threads_allowed
from facewitness.media.types import Frame

TRACKERS = ("mesh", "fan", "landmarker")
MIN_CONFIDENCE = 0.5
LOOK_EVERY = 15
"""Frames between two looks for further faces while one is being followed."""
SEARCH_EVERY = 5
"""Frames between two thorough (slow) searches while no face is being followed."""
SAME_PLACE = 0.3
"""Overlap of boxes above which a found face is the one that is being followed, or was lost there."""
TWICE = 0.6
"""Overlap of boxes above which two followed faces are one."""
RESUME_S = 2.0
"""A face found where one was lost is the same one for this long."""
CUT_LEVEL, CUT_RATIO = 18.0, 4.0
"""A cut: the thumbnail changes by more than this many grey levels on average, and by this much more than lately."""
SAME_FACE, NEXT_FRAME_FACE = 0.9, 0.45
"""Likeness of two face patches above which a face after a cut is the one before it; below which two frames show two."""
MIN_FACE_PX = 12
LOOKS = 3
"""Crops of each eye that ``track_video`` averages; the detector, which reads how irises tremble, looks once."""
LEAST_SHOWN = 0.1
"""A face that is covered altogether is still followed, with this share of the network's confidence."""
PENDING_EYES = 8
LOST_FACES = 64
"""Faces no longer in view that may still come back after ``take``: the latest ones."""


class Landmarker(Protocol):
    """A network that looks at a crop; ``mesh`` and ``landmarker`` are two."""

    def __call__(self, image: NDArray[np.uint8], roi: Roi) -> Seen:
        """Mesh and confidence of the face in ``roi``."""
        ...


@dataclass
class _Followed:
    """One face while it is being followed."""

    number: int
    frames: list[int] = field(default_factory=list)
    meshes: list[NDArray[np.float32]] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    eyes: list[Future[tuple[NDArray[np.float32], NDArray[np.float32]]]] = field(default_factory=list)
    blendshapes: list[NDArray[np.float32] | None] = field(default_factory=list)
    textures: list[NDArray[np.uint8] | None] = field(default_factory=list)
    patch: NDArray[np.float32] | None = None
    mesh: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    """Where it was seen last, and when; kept when its frames are taken away."""
    pts: int = 0
    active: bool = True
    before_cut: bool = False
    """Ended by a cut: only a face that looks the same may go on with it."""

    @property
    def box(self) -> NDArray[np.float64]:
        return box_of(self.mesh)

    def forget(self) -> None:
        """Let go of the frames so far, not of the face."""
        for kept in (self.frames, self.meshes, self.confidences, self.eyes, self.blendshapes, self.textures):
            kept.clear()


def box_of(mesh: NDArray) -> NDArray[np.float64]:
    """Box x0, y0, x1, y1 around a mesh (..., 468, 3)."""
    xy = np.asarray(mesh, np.float64)[..., :2]
    return np.concatenate([xy.min(-2), xy.max(-2)], axis=-1)


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation of two face patches in brightness and colour, -1..1, lowered by a difference in mean colour."""
    za, zb = a - a.mean((0, 1)), b - b.mean((0, 1))
    r = float((za * zb).sum() / (np.sqrt((za**2).sum() * (zb**2).sum()) + 1e-6))
    return r - float(np.abs(a.mean((0, 1)) - b.mean((0, 1))).mean()) / 100


class FaceTracker:
    """Feed frames in order with ``update``, then take the tracks with ``finish``, or part by part with ``take``.

    Eyes are refined on a second thread while the mesh of the next frame is found, unless one thread is all there is
    (``FACEWITNESS_THREADS=1``). Raises UsageError for an unknown tracker, MissingPieceError when a package or model
    file that the tracker needs is not here. ``looks`` (1 to 3) crops of each eye are averaged; with more than one, two
    networks look at two crops of the face: slower, steadier and truer.
    """

    def __init__(self, tracker: str = "mesh", max_faces: int = 4, looks: int = 1):
        if tracker not in TRACKERS:
            raise UsageError(f"there is no tracker {tracker!r}; choose one of {', '.join(TRACKERS)}.")
        if max_faces < 1:
            raise UsageError("max_faces must be at least 1.")
        self.tracker, self.max_faces = tracker, max_faces
        self._detector = Detector()
        self._look: Landmarker
        if tracker == "mesh":
            self._look = MeshNetwork() if looks == 1 else CarefulMesh()
        elif tracker == "landmarker":
            from facewitness.faces.landmarker import TaskNetwork

            self._look = TaskNetwork()
        else:
            from facewitness.faces.fan import FanNetwork

            self._look = FanNetwork()
        self._iris = IrisNetwork(looks)
        self._eye_thread = ThreadPoolExecutor(1, thread_name_prefix="eyes") if threads_allowed() > 1 else None
        self._pending: deque[Future] = deque()
        self._faces: list[_Followed] = []
        self._count = 0
        """Faces met so far."""
        self._pts: list[int] = []
        """Of the frames that were not taken yet."""
        self._taken = 0
        """Frames whose tracks were taken away."""
        self._time_base = Fraction(1, 1)
        self._size: tuple[int, int] | None = None
        self._last_look = -(10**9)
        self._thumb: NDArray[np.float32] | None = None
        self._change = 0.0

    def update(self, frame: Frame) -> None:
        """Look at the next frame. Frames must come in order and have one size."""
        image = frame.image
        index = self._taken + len(self._pts)
        self._pts.append(frame.pts)
        self._time_base = frame.time_base
        if self._size is None:
            self._size = (image.shape[1], image.shape[0])
        elif self._size != (image.shape[1], image.shape[0]):
            raise UnreadableInputError("the picture changes its size within the video; convert it to one size first.")
        if self._is_cut(image):
            for face in self._faces:
                face.before_cut |= face.active
                face.active = False
        for face in self._faces:
            if face.active:
                self._follow(face, image, index)
        self._drop_doubles()
        self._find(image, index)

    @property
    def seen(self) -> list[tuple[int, NDArray[np.float32]]]:
        """Number and (468, 3) mesh in pixels of every face seen in the last frame."""
        last = len(self._pts) - 1
        return [(f.number, f.mesh) for f in self._faces if f.frames and f.frames[-1] == last]

    def take(self) -> list[tuple[int, FaceTrack]]:
        """(number, track) of every face since the last call, the most present and largest first.

        The tracker goes on following them, under the same numbers; its memory no longer holds these frames.
        """
        pts = np.array(self._pts, np.int64)
        faces = [f for f in self._faces if len(f.frames) >= min(3, max(len(pts), 1))]
        weight = {id(f): sum(float(np.ptp(m[:, 1])) for m in f.meshes) for f in faces}
        faces.sort(key=lambda f: -weight[id(f)])
        base, size = self._time_base, self._size or (0, 0)
        tracks = [
            (f.number, _as_track(f, face_id=i, tracker=self.tracker, size=size, pts=pts, time_base=base))
            for i, f in enumerate(faces)
        ]
        for face in self._faces:
            face.forget()
        lost = {f.number for f in [f for f in self._faces if not f.active][-LOST_FACES:]}
        self._faces = [f for f in self._faces if f.active or f.number in lost]
        self._taken += len(self._pts)
        self._pts.clear()
        return tracks

    def finish(self) -> list[FaceTrack]:
        """The tracks of all frames not taken yet, the most present and largest face first; the tracker takes no more
        frames."""
        tracks = [track for _, track in self.take()]
        if self._eye_thread is not None:
            self._eye_thread.shutdown(wait=True)
        return tracks

    def _is_cut(self, image: NDArray[np.uint8]) -> bool:
        step = max(min(image.shape[:2]) // 90, 1)
        thumb = cv2.resize(image[::step, ::step], (32, 18), interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumb = self._thumb, thumb
        if before is None:
            return False
        change = float(np.abs(thumb - before).mean())
        cut = change > CUT_LEVEL and change > CUT_RATIO * self._change
        self._change = 0.8 * self._change + 0.2 * min(change, 2 * CUT_LEVEL)
        return cut

    def _follow(self, face: _Followed, image: NDArray[np.uint8], index: int) -> None:
        seen = self._look(image, roi_of_mesh(face.mesh))
        if not self._sound(seen, image):
            face.active = False
        elif face.patch is not None and likeness(seen.patch, face.patch) < NEXT_FRAME_FACE:
            face.active, face.before_cut = False, True
        else:
            self._keep(face, seen, image, index)

    def _sound(self, seen: Seen, image: NDArray[np.uint8]) -> bool:
        """Whether what was seen is a face at all: sure enough, large enough, mostly inside the picture."""
        if seen.confidence < MIN_CONFIDENCE:
            return False
        x0, y0, x1, y1 = box_of(seen.mesh)
        h, w = image.shape[:2]
        inside = max(min(x1, w) - max(x0, 0), 0) * max(min(y1, h) - max(y0, 0), 0)
        return min(x1 - x0, y1 - y0) >= MIN_FACE_PX and inside > 0.4 * (x1 - x0) * (y1 - y0)

    def _keep(self, face: _Followed, seen: Seen, image: NDArray[np.uint8], index: int) -> None:
        face.frames.append(index - self._taken)
        face.mesh, face.pts = seen.mesh, self._pts[-1]
        face.meshes.append(seen.mesh)
        face.confidences.append(seen.confidence)
        face.blendshapes.append(seen.blendshapes)
        face.textures.append(seen.texture)
        face.patch, face.active, face.before_cut = seen.patch, True, False
        if self._eye_thread is None:
            job: Future[tuple[NDArray[np.float32], NDArray[np.float32]]] = Future()
            job.set_result(self._eyes(image, seen))
        else:
            job = self._eye_thread.submit(self._eyes, image, seen)
        face.eyes.append(job)
        self._pending.append(job)
        while len(self._pending) > PENDING_EYES:
            self._pending.popleft().result()

    def _eyes(self, image: NDArray[np.uint8], seen: Seen) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if seen.irises is not None and seen.eyes is None:
            contours = np.stack([seen.mesh[list(c), :2] for c in lm.IRIS_CONTOURS])
            return contours, seen.irises
        eyes, irises = self._iris(image, seen.mesh)
        if seen.irises is not None and seen.eyes is not None:
            return (eyes + seen.eyes) * np.float32(0.5), (irises + seen.irises) * np.float32(0.5)
        return eyes, irises

    def _drop_doubles(self) -> None:
        active = [f for f in self._faces if f.active]
        for i, older in enumerate(active):
            for newer in active[i + 1 :]:
                if older.active and newer.active and overlap(older.box, newer.box) > TWICE:
                    newer.active = False

    def _find(self, image: NDArray[np.uint8], index: int) -> None:
        active = [f for f in self._faces if f.active]
        if active and (len(active) >= self.max_faces or index - self._last_look < LOOK_EVERY):
            return
        thorough = index % SEARCH_EVERY == 0 if not active else (index // LOOK_EVERY) % 4 == 0
        self._last_look = index
        self._begin(self._detector.find(image, thorough=thorough), active, image, index)
        if thorough and not active:
            self._begin(self._detector.find_small(image), active, image, index)

    def _begin(self, found: list[Detection], active: list[_Followed], image: NDArray[np.uint8], index: int) -> None:
        """Follow what was found, unless it is followed already or is no face; ``active`` grows."""
        for one in found:
            if len(active) >= self.max_faces:
                break
            if any(overlap(one.box, f.box) > SAME_PLACE or _centre_in(one, f.box) for f in active):
                continue
            seen = self._look(image, one.roi)
            if seen.confidence >= MIN_CONFIDENCE:
                seen = self._look(image, roi_of_mesh(seen.mesh))
            if not self._sound(seen, image) or any(overlap(box_of(seen.mesh), f.box) > SAME_PLACE for f in active):
                continue
            face = self._same_as(seen)
            if face is None:
                face = _Followed(number=self._count)
                self._count += 1
                self._faces.append(face)
            self._keep(face, seen, image, index)
            active.append(face)

    def _same_as(self, seen: Seen) -> _Followed | None:
        """The lost face that this one continues, if any: the same place a moment ago, or after a cut the same looks."""
        box = box_of(seen.mesh)
        best, best_likeness = None, -1.0
        for face in self._faces:
            if face.active or face.patch is None:
                continue
            alike = likeness(seen.patch, face.patch)
            gap_s = float((self._pts[-1] - face.pts) * self._time_base)
            near = not face.before_cut and gap_s <= RESUME_S and overlap(box, face.box) > SAME_PLACE
            needed = NEXT_FRAME_FACE if near else SAME_FACE
            if alike >= needed and alike > best_likeness:
                best, best_likeness = face, alike
        return best


def _centre_in(found: Detection, box: NDArray) -> bool:
    x, y = (found.box[0] + found.box[2]) / 2, (found.box[1] + found.box[3]) / 2
    return bool(box[0] < x < box[2] and box[1] < y < box[3])


def _as_track(
    face: _Followed, *, face_id: int, tracker: str, size: tuple[int, int], pts: NDArray[np.int64], time_base: Fraction
) -> FaceTrack:
    count = len(pts)
    at = np.array(face.frames)

    def spread(values: list, shape: tuple[int, ...]) -> NDArray[np.float32]:
        out = np.full((count, *shape), np.nan, np.float32)
        out[at] = np.stack(values)
        return out

    eyes = [job.result() for job in face.eyes]
    confidence = np.zeros(count, np.float32)
    confidence[at] = face.confidences
    mesh = spread(face.meshes, (lm.POINTS, 3))
    boxes = np.full((count, 4), np.nan, np.float32)
    boxes[at] = box_of(mesh[at])
    shapes = [b for b in face.blendshapes if b is not None]
    textures = [t for t in face.textures if t is not None]
    parts = None
    if len(textures) == len(at):
        parts = np.ones((count, len(PARTS)), np.float32)
        parts[at] = uncovered(np.stack(textures))
        confidence[at] *= np.clip(parts[at].mean(1), LEAST_SHOWN, 1)
    return FaceTrack(
        face_id=face_id,
        tracker=tracker,
        width=size[0],
        height=size[1],
        time_base=time_base,
        pts=pts,
        boxes=boxes,
        mesh=mesh,
        eyes=spread([e for e, _ in eyes], (2, 71, 2)),
        irises=spread([i for _, i in eyes], (2, 5, 2)),
        confidence=confidence,
        parts=parts,
        blendshapes=spread(shapes, (52,)) if len(shapes) == len(at) else None,
    )


def track_video(
    path: Path,
    *,
    tracker: str = "mesh",
    max_faces: int = 4,
    start_s: float = 0.0,
    end_s: float | None = None,
    progress: bool = False,
) -> list[FaceTrack]:
    """Follow the faces of a video; the list is empty where there is none.

    Decodes on a thread of its own. Raises UnreadableInputError for a file that cannot be decoded and
    MissingPieceError for a model file that cannot be had.
    """
    from facewitness.faces.ahead import read_ahead
    from facewitness.media import probe, read_frames
    from facewitness.progress import Bar

    followed = FaceTracker(tracker, max_faces, LOOKS)
    total = probe(path).frames or None if progress else None
    frames = read_ahead(read_frames(path, start_s=start_s, end_s=end_s))
    if not progress:
        for frame in frames:
            followed.update(frame)
        return followed.finish()
    with Bar(f"tracking {path.name}", total=total) as bar:
        for frame in frames:
            followed.update(frame)
            bar.advance()
    return followed.finish()
