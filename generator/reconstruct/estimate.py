"""From a track to a performance: one person's head, and what it does in every frame."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter1d

from facewitness.errors import UnreadableInputError
from facewitness.faces import landmarks as lm
from facewitness.faces.types import FaceTrack
from facewitness.generator.performance import Camera, Identity, Performance
from facewitness.generator.reconstruct import eyes as eye
from facewitness.generator.reconstruct.identity import (
    assumed_camera,
    eye_centres,
    neutral_shape,
    template,
    usable_frames,
)
from facewitness.generator.reconstruct.model import EYEBALL_RADIUS_CM, IRIS_DEPTH, basis
from facewitness.generator.reconstruct.rotation import angles_deg
from facewitness.generator.reconstruct.smooth import fill, smooth
from facewitness.generator.reconstruct.solve import (
    Pose,
    along_axis,
    centre_depth,
    face_sides,
    first_pose,
    fit_modes,
    in_head_frame,
    pose_weights,
    refine_pose,
    visibility,
)

MIN_FRAMES = 3
IDENTITY_FRAMES = 600
POSE_POINTS = 110
SHAPE_ROUNDS, FRONTAL_DEG = 5, 35.0
"""Turns of shape and pose, and how far a head may turn (one standard deviation) and still tell the neutral shape."""
LOWER_FACE_CM, LOWER_FACE_SHARE = 2.0, 0.1
"""Below the wings of the nose (in the canonical face) landmarks count this much for the expression that pose is found
with."""
SMOOTH_FRAMES, SMOOTH_LIDS, SMOOTH_EXPRESSION = 0.5, 0.4, 0.9
"""More takes real motion along with the noise: footage warped by its own motion comes nearest to its next frame so."""
TURN_STEP_RAD, SHIFT_STEP_CM, MODE_STEP, LID_STEP, GAZE_STEP_RAD = 0.02, 0.25, 0.5, 0.12, 0.06
"""What counts as movement rather than noise between neighbouring frames."""
EYE_SHUT = 0.5
"""Above this closure the iris is not seen and gaze is carried over."""
OPEN = 0.3
"""Below this closure an eye is not blinking, and its lids tell how it usually looks."""
VERGENCE_FRAMES, VERGENCE_RAD = 4.0, (np.radians([-22.0, -2.0]), np.radians([3.0, 2.0]))
"""Eyes turn against each other slowly and little, unless they are crossed: smoothing in frames, limits of half the
difference in yaw (left eye's less the right one's) and pitch."""
CROSSED_RAD = np.radians(2.5)
"""Half a difference in yaw that leaves the slow course by more is no noise: somebody crosses the eyes."""
PARALLEL_CM, CROSSED_CM, FACING_DEG, FACING_FRAMES = 0.06, (0.15, 0.30), 12.0, 25
"""Half of how much further apart than the eyeballs should be the irises lie in clips of people who face the camera (20
clips of people outside the benchmark; standard deviation .08). Beyond that by two standard deviations nearer together,
and wholly by four, it is no longer the eyeballs' place but somebody who squints or crosses the eyes, if so many frames
turned by so little show it."""
EYE_RISE_CM = 0.21
"""The eyeball's centre lies this far above the middle between the corners as the mesh has them. Mean over 68 studio
portraits that look into the lens (Face Research Lab London set) and their mirror images."""
CENTRE_PRIOR_CM, GAZE_PRIOR_RAD = np.array([0.05, 0.10]), 0.10
"""How far an eyeball may lie from there, x and y (the spread over the same portraits), and how far from the camera
people look on average."""


def reconstruct(track: FaceTrack) -> Performance:
    """Reconstruct one face: rigid pose, identity over the whole clip, expression, lids, gaze, confidence.

    Gaps are interpolated and carry confidence 0. Raises UnreadableInputError where the face is seen in fewer than three
    frames.
    """
    good = track.present & np.isfinite(track.mesh).all((1, 2)) & np.isfinite(track.irises).all((1, 2, 3))
    if good.sum() < MIN_FRAMES:
        raise UnreadableInputError(
            f"the face is seen in only {int(good.sum())} frames; {MIN_FRAMES} are needed to reconstruct it."
        )
    seen = track.at(np.flatnonzero(good))
    camera = assumed_camera(track)
    mesh = along_axis(seen.mesh, camera)
    shape = _neutral(seen, camera)
    pose, expression = _pose_and_expression(mesh, shape, camera, first_pose(seen.mesh, shape, camera))
    head = in_head_frame(_deepened(mesh, shape, pose, camera), pose, camera)
    opening = eye.eye_opening(seen, head, pose, camera)
    sure = _frontal(pose)
    opened, closed = eye.lid_range(opening, sure)
    lids = eye.lid_closure(opening, opened, closed)
    wide = sure & (lids.max(1) < 0.4)
    irises = seen.irises - eye.corner_shift(seen, shape, eye_centres(shape), pose, camera, wide)[:, :, None]
    eyeballs = _eyeballs(irises, shape, pose, camera, wide)
    gaze = _gaze(irises[:, :, 0], eyeballs, pose, camera, lids, eye.lid_heights(head))
    identity = Identity(
        neutral=shape.astype(np.float32),
        eyeballs=eyeballs.astype(np.float32),
        ranges=_ranges(lids, opened, closed, gaze, expression, head, sure),
    )
    confidence = track.confidence * 0
    confidence[good] = _confidence(seen, pose)
    at = np.flatnonzero(good)
    return _whole_clip(track, at, pose, expression, lids, gaze, identity, camera, confidence)


def _deepened(mesh: NDArray, shape: NDArray, pose: Pose, camera: Camera) -> NDArray:
    return centre_depth(mesh, shape, pose, camera, np.broadcast_to(pose_weights(), mesh.shape[:2]))


def _neutral(seen: FaceTrack, camera: Camera) -> NDArray[np.float64]:
    """The person's neutral face, from frames spread over the clip."""
    seen = seen.at(usable_frames(seen, IDENTITY_FRAMES))
    mesh, shape = along_axis(seen.mesh, camera), template()
    pose = first_pose(seen.mesh, shape, camera)
    for turn in range(SHAPE_ROUNDS):
        if turn:
            pose = _pose(mesh, shape, camera, pose)
        head = in_head_frame(_deepened(mesh, shape, pose, camera), pose, camera)
        turned = np.abs(angles_deg(pose.vectors)[:, :2])
        frontal = np.exp(-0.5 * (turned / FRONTAL_DEG) ** 2).prod(1)
        shape = neutral_shape(head, frontal + 1e-3, pose.rotation)
    return shape


def _pose(mesh: NDArray, shape: NDArray, camera: Camera, start: Pose, rounds: int = 3) -> Pose:
    """Pose by the points that say most about it; ``shape`` is (468, 3) or (T, 468, 3)."""
    at = np.argsort(-pose_weights(), kind="stable")[:POSE_POINTS]
    halves = visibility(start.rotation)
    weights = pose_weights()[at] * halves[:, face_sides()[at]]
    return refine_pose(start, shape[..., at, :], mesh[:, at], camera, weights, rounds)


def _pose_and_expression(mesh: NDArray, shape: NDArray, camera: Camera, start: Pose) -> tuple[Pose, NDArray]:
    b = basis()
    modes = b.modes.astype(np.float64)
    weights = np.ones(lm.POINTS)
    for contour in lm.IRIS_CONTOURS:
        weights[list(contour[:32])] = 0.02  # lids have parameters of their own
    weights[list(lm.FACE_OVAL)] = 0.3
    # a mouth that opens must not nod the head: pose is found with what the upper face does
    upper = weights * np.where(lm.canonical_xyz()[:, 1] > LOWER_FACE_CM, LOWER_FACE_SHARE, 1)
    pose = _pose(mesh, shape, camera, start)
    expression = np.zeros((len(mesh), len(modes)))

    def moved(expression: NDArray) -> NDArray:
        return shape + (expression @ modes.reshape(len(modes), -1)).reshape(-1, lm.POINTS, 3)

    def fitted(expression: NDArray, weights: NDArray) -> NDArray:
        every = np.broadcast_to(weights, mesh.shape[:2])
        head = in_head_frame(centre_depth(mesh, moved(expression), pose, camera, every), pose, camera)
        return fit_modes(head - shape, pose, modes, weights, visibility(pose.rotation), face_sides())

    for _ in range(2):
        pose = _pose(mesh, moved(expression), camera, pose, rounds=1)
        expression = fitted(expression, upper)
    return pose, fitted(expression, weights)


def _frontal(pose: Pose) -> NDArray[np.bool_]:
    """Frames in which both eyes are seen well; all of them where there are few."""
    turned = np.abs(angles_deg(pose.vectors)[:, :2])
    good = (turned[:, 0] < 25) & (turned[:, 1] < 25)
    return good if good.sum() >= max(10, 0.1 * len(good)) else turned.max(1) <= np.percentile(turned.max(1), 60)


def _eyeballs(irises: NDArray, shape: NDArray, pose: Pose, camera: Camera, sure: NDArray) -> NDArray[np.float64]:
    """(2, 4) centre and radius: where anatomy puts them, moved towards making the person look at the camera on
    average."""
    centres = eye_centres(shape)
    centres[:, 1] -= EYE_RISE_CM
    if sure.sum() < MIN_FRAMES:
        sure = np.ones(len(sure), bool)
    radius = eye.iris_radius_cm(irises, centres, pose, camera, sure) / (lm.IRIS_DIAMETER_CM / 2)
    radius = EYEBALL_RADIUS_CM * float(np.clip(radius, 0.8, 1.25))
    centres[:, 2] += radius - EYEBALL_RADIUS_CM
    reach = radius * IRIS_DEPTH
    offsets = eye.iris_offsets(irises[:, :, 0], centres, pose, camera, reach)
    # gaze to the camera, in the head frame, as an offset of the iris
    to_camera = -(pose.translation[:, None] @ pose.rotation)[:, 0]
    expected = reach * to_camera[:, :2] / np.linalg.norm(to_camera, axis=1, keepdims=True)
    away = np.median((offsets - expected[:, None])[sure], axis=0)
    trust = CENTRE_PRIOR_CM**2 / (CENTRE_PRIOR_CM**2 + (GAZE_PRIOR_RAD * reach) ** 2)
    common, apart = away.mean(0), (away[1] - away[0]) / 2
    # mostly both eyes look at one point, and what differs between them is the eyeballs' place alone
    facing = sure & (np.abs(angles_deg(pose.vectors)[:, 0]) < FACING_DEG)
    if facing.sum() >= FACING_FRAMES:
        near = PARALLEL_CM - float(np.median(offsets[facing, 1, 0] - offsets[facing, 0, 0])) / 2
        crossed = np.clip((near - CROSSED_CM[0]) / (CROSSED_CM[1] - CROSSED_CM[0]), 0, 1)
        apart[0] += crossed * (PARALLEL_CM - apart[0])
    centres[0, :2] += trust * common - apart
    centres[1, :2] += trust * common + apart
    return np.concatenate([centres, np.full((2, 1), radius)], 1)


def _gaze(
    irises: NDArray, eyeballs: NDArray, pose: Pose, camera: Camera, lids: NDArray, lid_heights: NDArray
) -> NDArray[np.float64]:
    """Yaw and pitch (T, 2, 2) in radians: what both eyes do together quickly, what they do apart slowly."""
    angles, missed = eye.gaze_angles(irises, eyeballs, pose, camera)
    hidden = _near(lids > EYE_SHUT)
    weight = visibility(pose.rotation) * np.clip(1 - lids, 0.05, 1) * np.where(missed, 0.1, 1.0)
    weight = np.where(hidden, 1e-4, weight)
    common = (angles * weight[..., None]).sum(1) / weight.sum(1)[:, None]
    common[:, 1] = eye.pitch_with_lids(common[:, 1], lid_heights, lids.max(1) < OPEN)
    shut = np.asarray(hidden.all(1))
    if not shut.all():
        common = fill(common, ~shut)
    common = smooth(common, frames=SMOOTH_FRAMES, step=GAZE_STEP_RAD)
    apart = (angles[:, 1] - angles[:, 0]) / 2
    poor = np.asarray(hidden.any(1) | missed.any(1))
    apart = fill(apart, ~poor) if not poor.all() else apart * 0
    slow = gaussian_filter1d(apart, VERGENCE_FRAMES, axis=0, mode="nearest")
    quick = smooth(apart[:, 0], frames=SMOOTH_FRAMES, step=GAZE_STEP_RAD) - slow[:, 0]
    slow[:, 0] += np.sign(quick) * np.maximum(np.abs(quick) - CROSSED_RAD, 0)
    apart = np.clip(slow, *VERGENCE_RAD)
    return np.stack([common - apart, common + apart], 1)


def _near(shut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``shut`` (T, 2) with the frame before and after: a lid on its way hides the iris too."""
    return np.asarray(binary_dilation(shut, np.ones((3, 1), bool)))


def _ranges(
    lids: NDArray, opened: NDArray, closed: NDArray, gaze: NDArray, expression: NDArray, head: NDArray, sure: NDArray
) -> dict[str, tuple[float, float]]:
    """Personal ranges (5th, 95th percentile) of what transfer calibrates, and the lids' openings (open, closed)."""
    use = sure if sure.sum() >= MIN_FRAMES else np.ones(len(sure), bool)
    gap = head[:, lm.LIP_LOWER_INNER, 1] - head[:, lm.LIP_UPPER_INNER, 1]
    width = head[:, lm.MOUTH_LEFT, 0] - head[:, lm.MOUTH_RIGHT, 0]
    quantities = {
        "lids_right": lids[:, 0],
        "lids_left": lids[:, 1],
        "mouth": gap,
        "mouth_width": width,
        "gaze_yaw": gaze[:, :, 0].mean(1),
        "gaze_pitch": gaze[:, :, 1].mean(1),
    }
    out = {k: (float(np.percentile(v[use], 5)), float(np.percentile(v[use], 95))) for k, v in quantities.items()}
    for side, name in enumerate(("right", "left")):
        out[f"opening_{name}"] = (float(opened[side]), float(closed[side]))
    return out


def _confidence(seen: FaceTrack, pose: Pose) -> NDArray[np.float32]:
    """The tracker's own confidence, lowered where the face is turned far away or lies outside the picture."""
    yaw = np.abs(angles_deg(pose.vectors)[:, 0])
    turned = np.clip(1 - (yaw - 45) / 60, 0.2, 1)
    box = seen.boxes
    size = np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1)
    w = np.clip(np.minimum(box[:, 2], seen.width) - np.maximum(box[:, 0], 0), 0, None)
    h = np.clip(np.minimum(box[:, 3], seen.height) - np.maximum(box[:, 1], 0), 0, None)
    return np.clip(seen.confidence * turned * (w * h / size), 0.01, 1).astype(np.float32)


def _whole_clip(
    track: FaceTrack, at: NDArray, pose: Pose, expression: NDArray, lids: NDArray, gaze: NDArray, identity: Identity,
    camera: Camera, confidence: NDArray,
) -> Performance:  # fmt: skip
    """Smooth, and spread over every frame of the clip, gaps included."""
    good = confidence > 0

    def spread(values: NDArray) -> NDArray[np.float32]:
        out = np.zeros((len(track.pts), *values.shape[1:]))
        out[at] = values
        return fill(out, good).astype(np.float32)

    turn = pose.vectors
    return Performance(
        time_base=track.time_base,
        pts=track.pts,
        rotation=spread(smooth(turn, frames=SMOOTH_FRAMES, step=TURN_STEP_RAD)),
        translation=spread(smooth(pose.translation, frames=SMOOTH_FRAMES, step=SHIFT_STEP_CM)),
        expression=spread(smooth(expression, frames=SMOOTH_EXPRESSION, step=MODE_STEP)),
        lids=spread(smooth(lids, frames=SMOOTH_LIDS, step=LID_STEP)),
        gaze=spread(gaze),
        confidence=confidence.astype(np.float32),
        parts=track.parts,
        identity=identity,
        camera=camera,
    )
