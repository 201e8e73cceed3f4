"""An outside watermark beside our own: chosen by name, refused where it is not here, read by voting.

The published network cannot be fetched by these tests. ``Squares`` stands in for it: a real coder that writes the bits
into the brightness of a grid of squares and reads them back, and that survives the encoder.
"""

import hashlib
import sys
from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from facewitness.errors import EXIT_MISSING, MissingPieceError, UsageError
from facewitness.generator import Label, publish
from facewitness.media import VideoWriter, read_frames
from facewitness.provenance import trustmark as tm
from facewitness.provenance import watermark as wm
from facewitness.provenance.ledger import Ledger
from facewitness.provenance.recover import recover

KEY = bytes(range(32))
PAYLOAD = bytes.fromhex("0123456789abcdef")
SIDE, GRID = 144, 9
"""Pixels of a frame, squares on a side: 81 squares for 68 bits and a sign of presence."""
SIGN = "1011001110001"
LEVEL = 24
LABEL = Label(method="reenactment", target_id="a", driver_id="b", rights="sample footage")


class Squares:
    """Writes each bit as the remainder of one square's mean brightness (quantisation index modulation)."""

    def __init__(self):
        self.encoded = self.decoded = 0

    def encode(self, in_cover_image, string_secret, MODE="text"):
        assert MODE == "binary" and len(string_secret) == tm.CAPACITY
        self.encoded += 1
        picture = np.asarray(in_cover_image, np.float32).copy()
        for place, bit in zip(self._places(), string_secret + SIGN, strict=True):
            mean = picture[place].mean()
            wanted = (np.floor(mean / (2 * LEVEL)) * 2 + int(bit) + 0.5) * LEVEL
            picture[place] += wanted - mean
        return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))

    def decode(self, in_stego_image, MODE="text"):
        assert MODE == "binary"
        self.decoded += 1
        picture = np.asarray(in_stego_image, np.float32)
        bits = "".join(str(int(picture[place].mean() / LEVEL) % 2) for place in self._places())
        found = bits[tm.CAPACITY :] == SIGN
        return (bits[: tm.CAPACITY], True, tm.SCHEME) if found else ("", False, -1)

    def _places(self):
        step = SIDE // GRID
        cuts = [slice(k * step, (k + 1) * step) for k in range(GRID)]
        return [(row, column) for row in cuts for column in cuts]


class Says:
    """Reads what it is told to read, frame after frame."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def decode(self, in_stego_image, MODE="text"):
        return self.answers.pop(0)


def frames(count, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 160, (GRID, GRID, 3)).astype(np.uint8)
    base = np.kron(coarse, np.ones((SIDE // GRID, SIDE // GRID, 1), np.uint8))
    return [base + rng.integers(0, 8, base.shape, dtype=np.uint8) for _ in range(count)]


def write(path, pictures):
    with VideoWriter(path, width=SIDE, height=SIDE, frame_rate=Fraction(25)) as video:
        for picture in pictures:
            video.write(picture)
    return path


def said(payload, key=KEY, scheme=tm.SCHEME):
    return tm.pack(payload, key), True, scheme


NOTHING = ("", False, -1)


def test_the_payload_fits_whole_and_comes_back():
    for payload in (PAYLOAD, bytes(8), b"\xff" * 8, wm.new_payload()):
        bits = tm.pack(payload, KEY)
        assert len(bits) == tm.CAPACITY == 68 and set(bits) <= {"0", "1"}
        assert tm.unpack(bits, KEY) == payload
    with pytest.raises(ValueError, match="8 bytes"):
        tm.pack(b"short", KEY)


def test_most_marks_of_strangers_fail_the_keyed_bits():
    passed = sum(tm.unpack(tm.pack(PAYLOAD, bytes([n]) * 32), KEY) is not None for n in range(200))
    assert passed < 30  # 200 / 16 expected
    assert tm.unpack(tm.pack(PAYLOAD, KEY)[:-1], KEY) is None
    assert tm.unpack("2" * 68, KEY) is None


def test_a_marked_video_is_read_after_encoding(tmp_path):
    coder, bits = Squares(), tm.pack(PAYLOAD, KEY)
    path = write(tmp_path / "marked.mp4", (tm.embed(f, coder, bits) for f in frames(50)))
    match = tm.detect(path, KEY, coder)
    assert match is not None
    assert (match.payload, match.votes, match.frames, match.distance) == (PAYLOAD, 4, 4, 0.0)
    plain = write(tmp_path / "plain.mp4", frames(50))
    assert tm.detect(plain, KEY, coder) is None


def test_two_frames_a_second_are_read_and_no_more_than_it_takes():
    coder = Squares()
    assert tm.detect(frames(50), KEY, coder, frame_rate=25) is None
    assert coder.decoded == 4
    assert tm.detect(frames(50), KEY, coder, frame_rate=25, seconds=1.0) is None
    assert coder.decoded == 4 + 2
    match = tm.detect(frames(50), KEY, Says(*[said(PAYLOAD)] * tm.ENOUGH), frame_rate=2)
    assert match is not None and match.frames == tm.ENOUGH


@pytest.mark.parametrize(
    ("answers", "votes"),
    [
        ([NOTHING, said(PAYLOAD), NOTHING, said(PAYLOAD)], 2),
        ([said(PAYLOAD), said(bytes(8)), said(PAYLOAD), NOTHING], 2),
        ([said(PAYLOAD), NOTHING, NOTHING, NOTHING], 0),
        ([said(PAYLOAD), said(PAYLOAD), said(bytes(8)), said(bytes(8))], 0),
        ([said(PAYLOAD, scheme=1)] * 4, 0),
        ([(tm.pack(PAYLOAD, KEY)[:-4] + "".join("10"[int(b)] for b in tm.pack(PAYLOAD, KEY)[-4:]), True, 2)] * 4, 0),
    ],
    ids=["two agree", "majority", "one alone", "level", "another scheme", "keyed bits wrong"],
)
def test_frames_vote(answers, votes):
    match = tm.detect(frames(4), KEY, Says(*answers), frame_rate=2)
    assert (match.votes if match else 0) == votes
    assert match is None or (match.payload == PAYLOAD and match.distance == 1 - votes / 4)


def test_a_made_video_carries_both_marks_and_both_bindings(tmp_path, monkeypatch):
    import c2pa

    coder = Squares()
    monkeypatch.setenv(tm.CHOICE, "trustmark")
    monkeypatch.setattr(tm, "load", lambda: coder)
    out = tmp_path / "made.mp4"
    made = publish(iter(frames(75)), out, frame_rate=Fraction(25), label=LABEL)
    assert coder.encoded == 75
    payload, key = bytes.fromhex(made.watermark_payload), wm.installation_key()
    ours = wm.detect(out, key)
    assert ours is not None and ours.payload == payload
    outside = tm.detect(out, key, coder)
    assert outside is not None and outside.payload == payload
    with c2pa.Reader(out) as reader:
        bound = reader.json()
    assert tm.ALGORITHM == "com.adobe.trustmark.P"
    assert wm.ALGORITHM in bound and tm.ALGORITHM in bound and f"2*{tm.pack(payload, key)}" in bound

    # what lost our mark and its manifest is still found, and only where the other one is chosen
    stripped = write(tmp_path / "stripped.mp4", (f.image for f in read_frames(out)))
    monkeypatch.setattr(wm, "detect", lambda *a, **k: None)
    monkeypatch.setattr("facewitness.provenance.recover.by_fingerprint", lambda *a, **k: [])
    found = recover(stripped, Ledger())
    assert found is not None
    assert (found["match"], found["manifest"]) == ("watermark", made.manifest_id)
    monkeypatch.delenv(tm.CHOICE)
    assert recover(stripped, Ledger()) is None


def test_unset_means_our_own_alone(monkeypatch):
    monkeypatch.delenv(tm.CHOICE, raising=False)
    assert tm.chosen() is None
    monkeypatch.setenv(tm.CHOICE, "stegastamp")
    with pytest.raises(UsageError, match=r"'stegastamp'.*set it to trustmark or unset it"):
        tm.chosen()


def refuses(tmp_path, sentence):
    def never():
        raise AssertionError("no frame is asked for")
        yield

    with pytest.raises(MissingPieceError, match=sentence) as e:
        publish(never(), tmp_path / "x.mp4", frame_rate=Fraction(25), label=LABEL)
    assert e.value.exit_code == EXIT_MISSING == 5
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv(tm.CHOICE, "trustmark")
    monkeypatch.setitem(sys.modules, "trustmark", None)
    refuses(tmp_path, r"pip install 'facewitness\[trustmark\]' or unset FACEWITNESS_WATERMARK\.$")


@pytest.fixture
def package(tmp_path_factory, monkeypatch):
    """The package's outside as trustmark 0.9.2 has it, its weights on a host that does not answer."""
    folder = tmp_path_factory.mktemp("site") / "trustmark"
    module = ModuleType("trustmark.trustmark")
    module.__file__ = str(folder / "trustmark.py")
    names = "trustmark_P.yaml", "encoder_P.ckpt", "decoder_P.ckpt"
    module.MODEL_CHECKSUMS = {n: hashlib.md5(n.encode()).hexdigest() for n in names}
    module.MODEL_REMOTE_HOST = "http://127.0.0.1:9/"
    module.asked = []

    class TrustMark(Squares):
        def __init__(self, **options):
            super().__init__()
            print("Global step: 1")
            module.asked.append(options)
            self.encoder = self.decoder = object()

        def schemaCapacity(self):  # noqa: N802
            return 68

    module.TrustMark = TrustMark
    monkeypatch.setitem(sys.modules, "trustmark", ModuleType("trustmark"))
    monkeypatch.setitem(sys.modules, "trustmark.trustmark", module)
    monkeypatch.setenv(tm.CHOICE, "trustmark")
    monkeypatch.delenv("FACEWITNESS_OFFLINE", raising=False)
    return module, folder / "models", names


def test_weights_out_of_reach_refuse_before_anything_is_written(tmp_path, package, monkeypatch):
    module, models, _ = package
    refuses(tmp_path, r"trustmark_P\.yaml are not here .*fetch http://127.* into .*models or unset")
    monkeypatch.setenv("FACEWITNESS_OFFLINE", "1")
    refuses(tmp_path, "FACEWITNESS_OFFLINE is set")
    assert not models.exists() and module.asked == []


def test_weights_are_verified_before_the_package_unpickles_them(tmp_path, package, capsys):
    module, models, names = package
    models.mkdir(parents=True)
    for name in names:
        (models / name).write_text(name)
    (models / "decoder_P.ckpt").write_text("something else")
    refuses(tmp_path, r"decoder_P\.ckpt are not here")
    assert module.asked == []
    source = tmp_path / "served"
    source.mkdir()
    module.MODEL_REMOTE_HOST = f"file://{source}/"
    (source / "decoder_P.ckpt").write_text("something else again")
    with pytest.raises(MissingPieceError, match="what came has another hash"):
        tm.load()
    assert (models / "decoder_P.ckpt").read_text() == "something else"
    (source / "decoder_P.ckpt").write_text("decoder_P.ckpt")
    assert isinstance(tm.chosen(), Squares)
    asked = module.asked[0]
    assert (asked["model_type"], asked["encoding_type"], asked["loadRemover"]) == ("P", 2, False)
    assert capsys.readouterr().out == ""  # our standard output may be JSON


def test_a_package_that_did_not_load_its_networks_is_refused(package, monkeypatch):
    module, models, names = package
    models.mkdir(parents=True)
    for name in names:
        (models / name).write_text(name)
    monkeypatch.setattr(module.TrustMark, "schemaCapacity", lambda self: 61)
    with pytest.raises(MissingPieceError, match="variant P with 68 bits"):
        tm.load()
