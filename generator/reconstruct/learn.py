"""Estimate the expression basis from tracked clips.

    python -m facewitness.generator.reconstruct.learn TRACK.npz [TRACK.npz ...] -o generator/reconstruct/basis.npz

Per clip: rigid pose is taken out, then the person's own neutral face; what is left is how that face moved. Lids are
regressed out (they are parameters of their own); the rest of all clips, with its mirror image, gives the modes by a
principal component analysis in which every clip weighs the same. Semantic directions are the regression of the modes on
quantities measured in the mesh (mouth opening, width, brow height ...). Only differences from neutral faces are kept.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewitness.faces import landmarks as lm
from facewitness.faces import load_tracks
from facewitness.faces.types import FaceTrack
from facewitness.generator.reconstruct.eyes import eye_opening
from facewitness.generator.reconstruct.identity import assumed_camera, neutral_shape, template, usable_frames
from facewitness.generator.reconstruct.rotation import angles_deg
from facewitness.generator.reconstruct.solve import centre_depth, first_pose, in_head_frame, pose_weights, refine_pose

MODES = 40
FRAMES_A_CLIP = 400
MAX_YAW_DEG = 30.0
MIN_FRAMES = 40
MIN_FACE_PX = 90
POSE_RIDGE = 0.05
"""Ridge of the regression on pose, in units of (10 degrees) squared: heads that hardly turn tell nothing."""
MIRROR_SIGN = np.array([-1.0, 1, 1])


def main() -> None:
    """Read tracks, write the basis."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracks", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--modes", type=int, default=MODES)
    args = parser.parse_args()
    moved, opening = [], []
    for path in args.tracks:
        for track in load_tracks(path):
            taken = movements(track)
            if taken is not None:
                moved.append(taken[0])
                opening.append(taken[1])
    learned = learn(moved, opening, args.modes)
    np.savez_compressed(args.out, **learned)  # type: ignore[arg-type]
    print(f"{len(moved)} clips, {sum(map(len, moved))} frames -> {args.out} ({args.out.stat().st_size} bytes)")


def movements(track: FaceTrack) -> tuple[NDArray, NDArray] | None:
    """Offsets (n, 468, 3) in centimetres from the person's neutral face and lid openings (n, 2); None for a poor
    clip."""
    at = usable_frames(track, FRAMES_A_CLIP)
    if len(at) < MIN_FRAMES or np.median(track.boxes[at, 3] - track.boxes[at, 1]) < MIN_FACE_PX:
        return None
    camera = assumed_camera(track)
    mesh = track.mesh[at].astype(np.float64)
    weights = np.broadcast_to(pose_weights(), mesh.shape[:2])
    shape = template()
    pose = first_pose(mesh, shape, camera)
    for _ in range(2):
        mesh = centre_depth(mesh, shape, pose, camera, weights)
        shape = neutral_shape(in_head_frame(mesh, pose, camera), np.ones(len(mesh)))
        pose = refine_pose(pose, shape, mesh, camera, weights)
    mesh = centre_depth(mesh, shape, pose, camera, weights)
    head = in_head_frame(mesh, pose, camera)
    frontal = np.abs(angles_deg(pose.vectors)[:, 0]) < MAX_YAW_DEG
    if frontal.sum() < MIN_FRAMES:
        return None
    part = _pick(track, at)
    opening = eye_opening(part, head, pose, camera)
    shape = neutral_shape(head[frontal], np.ones(int(frontal.sum())))
    return _without_pose((head - shape)[frontal], angles_deg(pose.vectors)[frontal]), opening[frontal]


def _without_pose(offsets: NDArray, angles: NDArray) -> NDArray:
    """Offsets (n, 468, 3) less what a line and a parabola in yaw, pitch, roll (n, 3) explain: the tracker's own
    error with
    pose, not the face's movement. Regularised, because faces also move when heads do."""
    a = (angles - np.median(angles, 0)) / 10
    x = np.concatenate([a, a[:, :2] ** 2 - (a[:, :2] ** 2).mean(0)], 1)
    flat = offsets.reshape(len(offsets), -1)
    moved = flat - flat.mean(0)
    slope = np.linalg.solve(x.T @ x + np.eye(x.shape[1]) * POSE_RIDGE * len(x), x.T @ moved)
    return (flat - x @ slope).reshape(offsets.shape)


def _pick(track: FaceTrack, at: NDArray) -> FaceTrack:
    from dataclasses import replace

    names = ("pts", "boxes", "mesh", "eyes", "irises", "confidence")
    return replace(track, blendshapes=None, parts=None, **{n: getattr(track, n)[at] for n in names})


def learn(moved: list[NDArray], opening: list[NDArray], count: int) -> dict[str, NDArray]:
    """The arrays of a basis from offsets (n, 468, 3) and openings (n, 2) of many clips."""
    lids, gap_per_opening = _lid_fields(moved, opening)
    rest = []
    for offsets, gaps in zip(moved, opening, strict=True):
        closed = np.median(gaps, 0) - gaps
        rest.append(offsets - np.einsum("te,enx->tnx", closed, lids))
    lid_points = sorted({i for c in lm.IRIS_CONTOURS for i in c[:16]})
    rows = np.concatenate([_weighed(r) for r in rest] + [_weighed(_mirrored(r)) for r in rest])
    rows[:, lid_points] *= 0.3
    flat = rows.reshape(len(rows), -1).astype(np.float32)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(rows) * len(rest))
    order = np.argsort(values)[::-1][:count]
    share = values[order].sum() / values.sum()
    print(f"{count} modes hold {share:.4f} of the movement; leading: {np.round(np.sqrt(values[order][:6]), 2)} cm")
    modes = vectors[:, order].T.reshape(count, lm.POINTS, 3)
    modes[:, lid_points] /= 0.3
    samples = np.concatenate([r.reshape(len(r), -1) for r in rest])
    coefficients = samples @ np.linalg.pinv(modes.reshape(count, -1))
    spread = coefficients.std(0)
    modes = modes * spread[:, None, None]
    signs = np.sign(np.sum(modes[:, lm.LIP_LOWER_INNER, 1:2], axis=1))
    modes *= np.where(signs == 0, 1, signs)[:, None, None]
    names, directions = _semantic(modes, samples)
    full = OPEN_TO_CLOSED
    return {
        "modes": modes.astype(np.float16),
        "lids": (lids * full).astype(np.float16),
        "lid_gap": np.array(full * gap_per_opening),
        "names": np.array(names),
        "directions": directions.astype(np.float32),
    }


OPEN_TO_CLOSED = 0.29
"""Change of opening over width between an open and a closed eye in the population."""


def _weighed(offsets: NDArray) -> NDArray:
    """Every clip weighs the same, whatever its length."""
    return offsets / np.sqrt(len(offsets))


def _mirrored(offsets: NDArray) -> NDArray:
    return offsets[:, lm.mirror()] * MIRROR_SIGN


def _lid_fields(moved: list[NDArray], opening: list[NDArray]) -> tuple[NDArray, float]:
    """(2, 468, 3) centimetres per unit of closing of either eye, local to the eyes, mirror images of each other; and
    the
    gap of the lids in centimetres per unit of opening."""
    near = _eye_region()
    xtx, xty = np.zeros((2, 2)), np.zeros((2, lm.POINTS * 3))
    for offsets, gaps in zip(moved, opening, strict=True):
        y = offsets - np.median(offsets, 0)
        closed = np.median(gaps, 0) - gaps
        for o, c in ((y, closed), (_mirrored(y), closed[:, ::-1])):
            # an eye's own closing, not what both do together: weigh by how far it is from open
            xtx += c.T @ c / len(c)
            xty += c.T @ o.reshape(len(o), -1) / len(c)
    # both eyes nearly always close together: each eye's region is explained by its own closing alone
    both = np.stack([xty[e] / xtx[e, e] for e in (0, 1)]).reshape(2, lm.POINTS, 3)
    lids = both * near[..., None]
    pairs = ((159, 145), (158, 153), (160, 144))
    gap = float(np.mean([lids[0, a, 1] - lids[0, b, 1] for a, b in pairs]))
    return lids, gap


def _eye_region() -> NDArray:
    """(2, 468) 1 near the right, left eye, falling to 0 at brow and cheek."""
    xyz = lm.canonical_xyz().astype(np.float64)
    out = []
    for outer, inner in lm.EYE_CORNERS:
        middle = (xyz[outer] + xyz[inner]) / 2
        away = np.linalg.norm((xyz - middle)[:, :2] / [2.2, 1.5], axis=1)
        out.append(np.clip(1.6 - away, 0, 1))
    return np.stack(out)


def measured(offsets: NDArray) -> dict[str, NDArray]:
    """Quantities with a name, in centimetres of movement, from offsets (n, 468, 3)."""
    y = lambda *i: offsets[:, list(i), 1].mean(1)  # noqa: E731
    x = lambda *i: offsets[:, list(i), 0].mean(1)  # noqa: E731
    z = lambda *i: offsets[:, list(i), 2].mean(1)  # noqa: E731
    width = x(lm.MOUTH_LEFT) - x(lm.MOUTH_RIGHT)
    corners = -(y(lm.MOUTH_LEFT, lm.MOUTH_RIGHT) - y(lm.LIP_UPPER_OUTER, lm.LIP_LOWER_OUTER))
    brow = lambda *i: -(y(*i) - y(33, 133, 362, 263))  # noqa: E731
    return {
        "jaw_open": 0.6 * (y(14) - y(13)) + 0.4 * (y(17, 152) - y(lm.NOSE_BASE)),
        "jaw_left": x(lm.CHIN, 175, 199, 200),
        "jaw_forward": -z(lm.CHIN, 175, 199),
        "mouth_open": y(14) - y(13),
        "smile": width / 2 + (z(lm.MOUTH_LEFT, lm.MOUTH_RIGHT) - z(0, 17)) / 2 - y(lm.MOUTH_LEFT, lm.MOUTH_RIGHT),
        "smile_right": -x(lm.MOUTH_RIGHT) - y(lm.MOUTH_RIGHT),
        "smile_left": x(lm.MOUTH_LEFT) - y(lm.MOUTH_LEFT),
        "frown": -corners,
        "pucker": -(x(lm.MOUTH_INNER_LEFT) - x(lm.MOUTH_INNER_RIGHT)),
        "mouth_left": x(lm.MOUTH_LEFT, lm.MOUTH_RIGHT, 0, 17),
        "upper_lip_raise": -(y(13, 82, 312) - y(lm.NOSE_BASE)),
        "lower_lip_drop": y(14, 87, 317) - y(lm.CHIN),
        "brow_up": brow(*lm.RIGHT_BROW, *lm.LEFT_BROW),
        "brow_up_right": brow(*lm.RIGHT_BROW),
        "brow_up_left": brow(*lm.LEFT_BROW),
        "brow_inner_up": brow(107, 336, 66, 296),
        "brow_down": -brow(*lm.RIGHT_BROW, *lm.LEFT_BROW) + (x(107, 66) - x(336, 296)) / 2,
        "cheek_puff": (x(425, 411, 376) - x(205, 187, 147)) - z(205, 425),
        "nose_sneer": -y(lm.NOSE_LEFT, lm.NOSE_RIGHT, 98, 327),
        "eye_wide": -y(159, 386) + y(145, 374),
    }


def _semantic(modes: NDArray, samples: NDArray) -> tuple[list[str], NDArray]:
    """Coefficients that move each measured quantity by two of its standard deviations, with the least movement else."""
    spread = {name: value.std() for name, value in measured(samples.reshape(-1, lm.POINTS, 3)).items()}
    per_mode = measured(modes.astype(np.float64))
    names = list(spread)
    rows = []
    for name in names:
        wanted = {name: 2 * spread[name]}
        if (other := _other_side(name)) in spread:
            wanted[other] = 0.0  # one side moves, the other stays
        slopes = np.stack([per_mode[n] for n in wanted])  # centimetres per standard deviation of each mode
        rows.append(slopes.T @ np.linalg.solve(slopes @ slopes.T, np.array(list(wanted.values()))))
    return names, np.stack(rows)


def _other_side(name: str) -> str:
    if name.endswith("_left"):
        return name.removesuffix("_left") + "_right"
    return name.removesuffix("_right") + "_left" if name.endswith("_right") else ""


if __name__ == "__main__":
    main()
