"""What is drawn over the picture: layers to an eighth of a pixel, masks of made clips, maps of heat."""

import json
import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewitness.dashboard import curves, overlays
from facewitness.dashboard.traces import traces_of
from facewitness.faces import track_video
from facewitness.media import VideoWriter


def unpacked(data: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """As player.js reads it."""
    (length,) = struct.unpack("<I", data[:4])
    head = json.loads(data[4 : 4 + length])
    start, layers = -(-(4 + length) // 4) * 4, {}
    for layer in head["layers"]:
        count = len(layer["times"]) * layer["points"] * 2
        steps = np.frombuffer(data, "<i2", count, start).astype(float)
        layers[layer["name"]] = np.where(steps == overlays.GAP, np.nan, steps / head["unit"]).reshape(
            len(layer["times"]), -1, 2
        )
        start += 2 * count
    assert start == len(data)
    return head, layers


@pytest.fixture(scope="module")
def followed(sample_clip: Path):
    return traces_of(track_video(sample_clip)[0])


def test_every_layer_comes_back_to_an_eighth_of_a_pixel(followed):
    head, layers = unpacked(overlays.pack(followed, width=384))
    assert set(layers) == {"outline", "mesh", "mask"} and head["width"] == 384
    np.testing.assert_allclose(layers["outline"], followed.outline, atol=1 / 16)
    np.testing.assert_allclose(layers["mesh"], followed.mesh, atol=1 / 16)
    assert layers["mesh"].shape[1] == 468
    edges = next(x for x in head["layers"] if x["name"] == "mesh")["edges"]
    assert max(edges) == 467 and len(edges) % 2 == 0


def test_without_a_label_the_mask_is_the_oval_of_the_face(followed):
    head, layers = unpacked(overlays.pack(followed, width=384))
    assert next(x for x in head["layers"] if x["name"] == "mask")["of"] == "face"
    eyes = np.nanmean(followed.mesh[:, [33, 263]], axis=(0, 1))
    assert cv2.pointPolygonTest(layers["mask"][0].astype(np.float32), eyes.tolist(), False) > 0


def test_the_mask_of_a_made_clip_is_its_label_s(tmp_path: Path):
    clip, mask = tmp_path / "clips" / "a.mp4", tmp_path / "masks" / "a.mp4"
    clip.parent.mkdir(), mask.parent.mkdir()
    clip.touch()
    with VideoWriter(mask, width=160, height=120, frame_rate=Fraction(25)) as out:
        for i in range(6):
            image = np.zeros((120, 160, 3), np.uint8)
            if i >= 3:
                cv2.rectangle(image, (40, 30), (100, 90), (255, 255, 255), -1)
            out.write(image)
    assert overlays.mask_beside(clip) == mask and overlays.mask_beside(mask) is None
    times, outline = overlays.mask_outline(mask, mask.stat().st_mtime_ns)
    assert np.isnan(outline[:3]).all(), "a frame that nobody changed has no mask"
    assert outline[4].min(0) == pytest.approx([40, 30], abs=2) and outline[4].max(0) == pytest.approx([100, 90], abs=2)
    head, layers = unpacked(overlays.pack(None, width=160, mask=(times, outline)))
    assert [x["of"] for x in head["layers"]] == ["label"] and len(layers["mask"]) == 6


def test_without_anything_to_draw_there_is_no_overlay():
    assert overlays.pack(None, width=10) is None


def test_the_map_of_heat_is_of_the_frame_asked_for_and_lies_on_the_face(sample_clip: Path, followed):
    answer = overlays.heat(sample_clip)({"t": 0.5})
    (face,) = answer["faces"]
    assert len(face["values"]) == face["size"] ** 2
    x, y, w, h = np.array(face["box"]) * [384, 384, 384, 384]
    nose = followed.mesh[12, 1]
    assert x < nose[0] < x + w and y < nose[1] < y + h
    values = np.array(face["values"]).reshape(face["size"], -1)
    assert np.abs(values).max() > 0.01, "blurring parts of a face changes what the network says"
    corners = np.abs(values[[0, 0, -1, -1], [0, -1, 0, -1]]).max()
    assert corners < np.abs(values).max() / 2, "and more so in the face than beside it"


def test_the_portrait_of_a_face_is_cut_around_it(sample_clip: Path, followed):
    ((time_s, image),) = curves.portraits(sample_clip, [followed])
    i = int(np.argmin(np.abs(followed.t_s - time_s)))
    face = np.ptp(followed.outline[i], axis=0)
    assert (face < image.shape[1::-1]).all() and (image.shape[1] < 2 * face.max())
