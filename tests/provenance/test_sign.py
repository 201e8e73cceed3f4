"""What signing puts into a file, whom it takes as a signer, and that it leaves nothing half done."""

import base64
import datetime
import http.server
import importlib.util
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from facewitness.errors import UnreadableInputError, UsageError
from facewitness.files import plain, sha256_file
from facewitness.provenance.keys import SigningMaterial, command_signer, key_signer, new_key, raw_signature
from facewitness.provenance.manifest import Ingredient, ManifestSpec, SoftBinding
from facewitness.provenance.policy import Anchors, Policy, default_policy
from facewitness.provenance.reports import report_inside, sign_report, speaks_of
from facewitness.provenance.requests import SignRequest, sign
from facewitness.provenance.sign import Signed, sign_file
from facewitness.provenance.thumbnails import thumbnails
from facewitness.provenance.trust import (
    add_trust_list,
    ensure_signer,
    init_trust,
    issue,
    trust_dir,
    trust_lists,
    write_key,
)
from facewitness.provenance.verify import verify_file

CAPTURED = ManifestSpec(kind="captured", training=None)


def manifest_of(path: Path, kind: str = "video/mp4") -> dict:
    """The active manifest as the bare library reads it."""
    from c2pa import Reader

    with path.open("rb") as f, Reader(kind, f) as reader:
        report = json.loads(reader.json())
    return report["manifests"][report["active_manifest"]]


def assertions(manifest: dict) -> dict:
    return {a["label"]: a["data"] for a in manifest["assertions"]}


# --- what a made video says


def test_a_made_video_carries_everything_it_should(video: Path, other_video: Path, tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    driver = sign_file(other_video, tmp_path / "driver.mp4", manifest=CAPTURED).path
    spec = ManifestSpec(
        kind="ai-generated", label={"method": "reenactment", "taken": ("head", "gaze")}, thumbnail=jpeg,
        ingredients=(Ingredient(path=driver, role="driver"), Ingredient(path=video, role="target")),
        soft_bindings=(SoftBinding(alg="org.facewitness.watermark.1", value="cGF5bG9hZA=="),),
        action_parameters={"org.facewitness.model": "abc"},
    )  # fmt: skip
    made = sign_file(video, tmp_path / "made.mp4", manifest=spec)
    manifest = manifest_of(made.path)
    said = assertions(manifest)
    actions = said["c2pa.actions.v2"]
    assert manifest["claim_version"] == 2 and manifest["claim_generator_info"][0]["name"] == "facewitness"
    assert actions["allActionsIncluded"] is True
    created = actions["actions"][0]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert created["softwareAgent"]["name"] == "facewitness" and created["softwareAgent"]["version"]
    assert len(created["parameters"]["ingredients"]) == 2
    assert created["parameters"]["org.facewitness.model"] == "abc"
    assert said["org.facewitness.label"] == {"method": "reenactment", "taken": ["head", "gaze"]}
    assert said["c2pa.soft-binding"]["alg"] == "org.facewitness.watermark.1"
    assert said["c2pa.soft-binding"]["blocks"] == [{"scope": {}, "value": "cGF5bG9hZA=="}]
    assert said["cawg.training-mining"]["entries"]["cawg.ai_training"] == {"use": "notAllowed"}
    assert manifest["thumbnail"]["format"] == "image/jpeg"
    assert [s["role"] for s in said["org.facewitness.sources"]["sources"]] == ["driver", "target"]
    states = {i["title"]: i["state"] for i in verify_file(made.path).ingredients}
    assert states == {"driver.mp4": "trusted", "plain.mp4": "absent"}


def test_numbers_of_a_label_come_back_as_they_were(video: Path, tmp_path: Path) -> None:
    label = {
        "segments": [[0, 1.25], [3, 4]],
        "edits": {"gaze": [1, 2, 3]},
        "weights": [0.5, -2.0],
        "none": None,
        "n": 300,
    }
    out = sign_file(video, tmp_path / "o.mp4", manifest=ManifestSpec(kind="ai-edited", label=label)).path
    assert verify_file(out).label == label


@pytest.mark.parametrize(
    ("kind", "ai", "source"),
    [
        ("ai-generated", "generated", "trainedAlgorithmicMedia"),
        ("ai-edited", "edited", "compositeWithTrainedAlgorithmicMedia"),
        ("captured", "none", "digitalCapture"),
    ],
)
def test_the_kind_is_stated_by_its_exact_source_type(
    kind: str, ai: str, source: str, video: Path, tmp_path: Path
) -> None:
    out = sign_file(video, tmp_path / "o.mp4", manifest=ManifestSpec(kind=kind)).path
    action = assertions(manifest_of(out))["c2pa.actions.v2"]["actions"][0]
    assert action["digitalSourceType"].endswith(f"/{source}") and verify_file(out).ai == ai


def test_an_edit_opens_what_it_was_made_from(signed: Signed, tmp_path: Path) -> None:
    out = sign(SignRequest(file=signed.path, out=tmp_path / "edited.mp4", kind="ai-edited")).path
    actions = assertions(manifest_of(out))["c2pa.actions.v2"]["actions"]
    assert [a["action"] for a in actions] == ["c2pa.opened", "c2pa.edited"]
    assert "digitalSourceType" not in actions[0]
    audit = verify_file(out)
    assert [(i["relationship"], i["state"]) for i in audit.ingredients] == [("parentOf", "trusted")]


def test_what_has_a_history_was_not_captured(signed: Signed, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="history"):
        sign(SignRequest(file=signed.path, out=tmp_path / "o.mp4", kind="captured"))
    assert not list(tmp_path.iterdir())


# --- every kind of file


def png(path: Path) -> Path:
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))
    return path


def sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(8000)
        f.writeframes(np.random.default_rng(0).bytes(16000))
    return path


def movie(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        out.mux(stream.encode())
    return path


def music(path: Path) -> Path:
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libmp3lame", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        for _ in range(8):
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


FILES = {
    "image.png": png, "image.jpg": png, "image.webp": png, "image.tif": png, "sound.wav": sound,
    "movie.mov": movie, "movie.mp4": movie, "music.mp3": music,
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_images_films_and_sound_are_signed_and_an_altered_byte_is_found(name: str, tmp_path: Path) -> None:
    source = FILES[name](tmp_path / name)
    out = sign(SignRequest(file=source, out=tmp_path / f"signed-{name}", kind="ai-generated")).path
    assert verify_file(out).state == "trusted"
    data = bytearray(out.read_bytes())
    original = source.read_bytes()
    at = data.rindex(original[-24:-12]) + 4  # the last stretch of the content itself
    data[at] ^= 1
    out.write_bytes(data)
    assert verify_file(out).state == "invalid"


@pytest.mark.parametrize("name", ["clip.webm", "notes.txt", "empty.mp4", "missing.mp4"])
def test_what_cannot_carry_a_manifest_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name != "missing.mp4":
        path.write_bytes(b"" if name == "empty.mp4" else b"\x1a\x45\xdf\xa3 something")
    with pytest.raises(UnreadableInputError) as refusal:
        sign_file(path, tmp_path / "out.mp4", manifest=CAPTURED)
    assert "\n" not in str(refusal.value) and not (tmp_path / "out.mp4").exists()


def test_a_sidecar_leaves_the_file_as_it_is(video: Path, tmp_path: Path) -> None:
    made = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, sidecar=tmp_path / "o.c2pa")
    assert made.path.read_bytes() == video.read_bytes()
    assert made.manifest_path and made.manifest_path.read_bytes() == made.manifest
    assert verify_file(made.path).state == "trusted", "the manifest beside it is found"
    made.path.write_bytes(video.read_bytes()[:-1] + b"x")
    assert verify_file(made.path).state == "invalid"
    made.manifest_path.unlink()
    assert verify_file(made.path).state == "absent"


# --- a signed report


def test_a_report_is_bound_to_the_clip_it_speaks_of(signed: Signed, video: Path, tmp_path: Path) -> None:
    row = {
        "schema": "facewitness.scan/1", "path": str(signed.path), "sha256": sha256_file(signed.path), "status": "ok",
        "verdict": "manipulated", "p_fake": 0.93, "faces": [],
        "reasons": [{"cue": "blink", "text": "<script>no</script> & none\r\n"}],
    }  # fmt: skip
    report = tmp_path / "report.json"
    report.write_text(json.dumps(row))
    made = sign_report(report, tmp_path / "report.svg")
    audit = verify_file(made.path)
    assert audit.state == "trusted" and audit.claims
    said = audit.claims["report"]
    assert (said["verdict"], said["sha256"], said["report_sha256"]) == (
        "manipulated",
        row["sha256"],
        sha256_file(report),
    )
    assert [(i["relationship"], i["state"]) for i in audit.ingredients] == [("inputTo", "trusted")]
    assert report_inside(made.path) == report.read_text()
    assert speaks_of(audit, signed.path).state == "trusted" and speaks_of(audit, video).state == "invalid"
    made.path.write_bytes(made.path.read_bytes().replace(b"manipulated", b"no_evidence"))
    assert verify_file(made.path).state == "invalid"
    with pytest.raises(UsageError, match="another one"):
        sign_report(report, tmp_path / "again.svg", clip=video)
    assert not (tmp_path / "again.svg").exists()


def test_an_audit_is_signed_as_a_report_bound_to_its_file(signed: Signed, video: Path, tmp_path: Path) -> None:
    report = tmp_path / "audit.json"
    report.write_text(json.dumps(plain(verify_file(signed.path))))
    made = sign_report(report, tmp_path / "audit.svg", clip=signed.path)
    audit = verify_file(made.path)
    assert audit.state == "trusted" and audit.claims
    assert (audit.claims["report"]["state"], audit.claims["report"]["failed"]) == ("trusted", [])
    assert report_inside(made.path) == report.read_text() and "Provenance: trusted" in made.path.read_text()
    assert speaks_of(audit, signed.path).state == "trusted" and speaks_of(audit, video).state == "invalid"


def test_the_pictures_in_a_manifest_are_drawn_again_and_follow_the_tree(video: Path, tmp_path: Path) -> None:
    picture = np.zeros((600, 800, 3), np.uint8)
    picture[:, :400] = (30, 90, 200)
    _, jpeg = cv2.imencode(".jpg", picture)
    parent = tmp_path / "parent.mp4"
    sign_file(video, parent, manifest=replace(CAPTURED, thumbnail=jpeg.tobytes()))
    child = ManifestSpec(kind="ai-generated", title="c", ingredients=(Ingredient(path=parent, relationship="inputTo"),))
    sign_file(video, tmp_path / "child.mp4", manifest=child)
    tree = thumbnails(tmp_path / "child.mp4", "video/mp4")
    assert tree["picture"] is None
    told = verify_file(tmp_path / "child.mp4").ingredients
    assert len(tree["ingredients"]) == len(told)
    shown = next(
        node["picture"] for node, i in zip(tree["ingredients"], told, strict=True) if i["relationship"] == "inputTo"
    )
    image = cv2.imdecode(np.frombuffer(base64.b64decode(shown), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[:2] == (240, 320) and image[100, 60, 2] > 150 and image[100, 300].max() < 40
    assert base64.b64encode(jpeg.tobytes()).decode() != shown, "nothing of the file's own bytes is handed on"
    (tmp_path / "no.mp4").write_bytes(b"no video")
    assert thumbnails(tmp_path / "no.mp4", "video/mp4") == {"picture": None, "ingredients": []}


# --- whom signing takes as a signer


def written(authority, folder: Path, **certificate) -> tuple[Path, Path]:
    """A key and a chain as files, the leaf issued as told."""
    key = new_key("es256")
    leaf = issue("A signer", key, (authority.issuer, authority.issuer_key), **certificate)
    write_key(folder / "key.pem", key)
    (folder / "chain.pem").write_bytes(
        b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, authority.issuer))
    )
    return folder / "key.pem", folder / "chain.pem"


LONG_AGO = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=500)
SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"not_before": LONG_AGO}, "expired"),
        ({"not_before": SOON}, "not valid before"),
        ({"ca": True}, "authority"),
        ({"usages": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "extended key usage"),
        ({"usages": (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.EMAIL_PROTECTION)}, "timeStamping"),
        ({"usages": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.EMAIL_PROTECTION)}, "anything"),
    ],
)
def test_a_chain_no_reader_would_accept_is_refused(certificate: dict, reason: str, authority, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=reason):
        key_signer(*written(authority, tmp_path, **certificate))


def test_a_chain_in_the_wrong_order_or_with_another_key_is_refused(authority, tmp_path: Path) -> None:
    key, chain = written(authority, tmp_path)
    certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    chain.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in reversed(certificates)))
    with pytest.raises(UsageError, match=r"does not belong|wrong order"):
        key_signer(key, chain)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UsageError, match="does not belong"):
        key_signer(written(authority, other)[0], written(authority, tmp_path)[1])
    material = authority.material()
    swapped = replace(material, chain=(material.chain[1], material.chain[0]))
    with pytest.raises(UsageError, match="wrong order"):
        sign_file(tmp_path / "x.mp4", tmp_path / "o.mp4", manifest=CAPTURED, signer=swapped)


def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    key = new_key("es256")
    write_key(tmp_path / "k.pem", key)
    (tmp_path / "c.pem").write_bytes(issue("Myself", key).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(UsageError, match="self-signed"):
        key_signer(tmp_path / "k.pem", tmp_path / "c.pem")


def test_a_key_that_signs_wrongly_leaves_nothing_behind(video: Path, authority, tmp_path: Path) -> None:
    material, wrong = authority.material(), new_key("es256")
    liar = replace(material, sign=lambda data: raw_signature(wrong, data))
    (tmp_path / "o.mp4").write_bytes(b"what was there before")
    with pytest.raises(UsageError, match="does not fit"):
        sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=liar)
    assert [p.name for p in tmp_path.iterdir()] == ["o.mp4"]
    assert (tmp_path / "o.mp4").read_bytes() == b"what was there before"


@pytest.mark.parametrize("algorithm", ["es256", "es384", "ed25519", "ps256"])
def test_every_algorithm_signs(algorithm: str, video: Path, authority, tmp_path: Path) -> None:
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=authority.material(algorithm)).path
    assert verify_file(out, authority.policy).state == "trusted"


@pytest.mark.parametrize("form", ["der", "raw"])
def test_a_command_signs_without_its_key_in_our_process(form: str, video: Path, authority, tmp_path: Path) -> None:
    key, chain = written(authority, tmp_path)
    script = tmp_path / "hsm.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom facewitness.provenance.keys import *\n"
        f"key = load_key(Path({str(key)!r})); data = sys.stdin.buffer.read()\n"
        + ("out = key.sign(data, ec.ECDSA(hashes.SHA256()))\n" if form == "der" else "out = raw_signature(key, data)\n")
        + "sys.stdout.buffer.write(out)\n"
    )
    signer = command_signer(f"{sys.executable} {script}", chain)
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=signer).path
    assert verify_file(out, authority.policy).state == "trusted"


def test_a_command_that_fails_is_said_and_leaves_nothing(video: Path, authority, tmp_path: Path) -> None:
    _, chain = written(authority, tmp_path)
    signer = command_signer("false", chain)
    with pytest.raises(UsageError, match="ended with 1"):
        sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=signer)
    assert not (tmp_path / "o.mp4").exists()


# --- time stamps


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory, authority) -> Iterator[tuple[str, Anchors]]:
    """A time-stamp authority on loopback: openssl behind a small HTTP server (RFC 3161)."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("clock")
    root_key, key = new_key("ps256"), new_key("ps256")
    root = issue("Clock root", root_key, ca=True)
    leaf = issue("Clock", key, (root, root_key), usages=(ExtendedKeyUsageOID.TIME_STAMPING,))
    write_key(folder / "key.pem", key)
    (folder / "cert.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "serial").write_text("01")
    (folder / "ts.cnf").write_text(
        f"[tsa]\ndefault_tsa = here\n[here]\nserial = {folder}/serial\ncrypto_device = builtin\n"
        f"signer_cert = {folder}/cert.pem\nsigner_key = {folder}/key.pem\nsigner_digest = sha256\n"
        "default_policy = 1.2.3.4.1\ndigests = sha256, sha384, sha512\naccuracy = secs:1\ness_cert_id_alg = sha256\n"
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            (folder / "query").write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query"]
            reply = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pem = root.public_bytes(serialization.Encoding.PEM).decode()
    yield f"http://127.0.0.1:{server.server_port}/", Anchors(name="clock", kind="time-stamps", pem=pem)
    server.shutdown()
    server.server_close()


def test_a_time_stamp_is_kept_and_believed_where_its_authority_is(
    clock, video: Path, authority, tmp_path: Path
) -> None:
    url, anchors = clock
    signer = replace(authority.material(), time_stamp_url=url)
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=signer).path
    audit = verify_file(out, Policy(anchors=(authority.anchors, anchors)))
    codes = {c.code for c in audit.codes}
    assert audit.state == "trusted" and {"timeStamp.validated", "timeStamp.trusted"} <= codes
    assert audit.signed_at and audit.missing == ("revocation",)
    if importlib.util.find_spec("encypher_c2pa"):
        second = verify_file(out, Policy(anchors=(authority.anchors, anchors), second_opinion=True)).second_opinion
        assert second and second["agrees"], second
    unknown = verify_file(out, authority.policy)
    assert unknown.state == "trusted" and "time_stamp" in unknown.missing, "a stamp of a stranger is no evidence"


def test_a_stamped_signature_outlives_its_certificate(clock, video: Path, authority, tmp_path: Path) -> None:
    import time

    url, anchors = clock
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    material = authority.material(not_before=begin, days=(300 + 4) / 86400)
    stamped = sign_file(
        video, tmp_path / "stamped.mp4", manifest=CAPTURED, signer=replace(material, time_stamp_url=url)
    ).path
    plain = sign_file(video, tmp_path / "plain.mp4", manifest=CAPTURED, signer=material).path
    left = material.leaf.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    time.sleep(max(0.0, left.total_seconds()) + 1.1)
    policy = Policy(anchors=(authority.anchors, anchors))
    assert verify_file(plain, policy).state == "invalid"
    assert verify_file(stamped, policy).state == "trusted"
    assert verify_file(stamped, authority.policy).state == "invalid", "a stranger's stamp does not lengthen a life"
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    assert verify_file(stamped, replace(policy, at=later.isoformat())).state == "trusted"


def test_a_time_stamp_service_that_does_not_answer_leaves_nothing(video: Path, authority, tmp_path: Path) -> None:
    signer = replace(authority.material(), time_stamp_url="http://127.0.0.1:9/")
    with pytest.raises((UsageError, UnreadableInputError), match="time stamp"):
        sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=signer)
    assert not list(tmp_path.iterdir())


# --- keys and trust lists


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        init_trust(tmp_path)
    finally:
        os.umask(before)
    for path in trust_dir(tmp_path).rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(trust_dir(tmp_path).stat().st_mode) == 0o700


def test_the_development_leaf_meets_the_conformance_profile(tmp_path: Path) -> None:
    leaf = ensure_signer(tmp_path).leaf
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= datetime.timedelta(days=366)
    assert {a.oid._name for a in leaf.subject} == {"countryName", "organizationName", "commonName"}
    assert usage.critical and usage.value.digital_signature and usage.value.content_commitment
    assert {e.dotted_string for e in extended} == {"1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4"}
    assert leaf.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    with pytest.raises(UsageError, match="366"):
        init_trust(tmp_path / "b", days=400)


def test_a_leaf_is_renewed_before_it_runs_out_and_both_are_trusted(video: Path, tmp_path: Path) -> None:
    init_trust(tmp_path, days=20)
    old = ensure_signer(tmp_path)
    first = sign_file(video, tmp_path / "a.mp4", manifest=CAPTURED, signer=old).path
    folder = trust_dir(tmp_path) / "authority"
    from facewitness.provenance.keys import load_chain, load_key
    from facewitness.provenance.trust import write_certificates

    issuer = load_chain(folder / "intermediate.pem")[0], load_key(folder / "intermediate.key")
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=19)
    aged = issue("facewitness development signer", load_key(folder / "leaf.key"), issuer, days=20, not_before=begin)
    write_certificates(folder / "leaf.pem", aged)
    renewed = ensure_signer(tmp_path)
    assert renewed.leaf.serial_number not in (aged.serial_number, old.leaf.serial_number)
    second = sign_file(video, tmp_path / "b.mp4", manifest=CAPTURED, signer=renewed).path
    policy = default_policy(tmp_path)
    assert {verify_file(first, policy).state, verify_file(second, policy).state} == {"trusted"}


def test_a_crash_between_key_and_certificate_heals(video: Path, tmp_path: Path) -> None:
    ensure_signer(tmp_path)
    write_key(trust_dir(tmp_path) / "authority" / "leaf.key", new_key("es256"))
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, home=tmp_path).path
    assert verify_file(out, default_policy(tmp_path)).state == "trusted"


def test_the_environment_may_name_a_time_stamp_service(clock, video: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FACEWITNESS_TIME_STAMP_URL", clock[0])
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED).path
    policy = default_policy()
    assert verify_file(out, replace(policy, anchors=(*policy.anchors, clock[1]))).missing == ("revocation",)


def test_processes_that_make_the_authority_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from facewitness.provenance.trust import ensure_signer; "
        "print(ensure_signer(Path(sys.argv[1])).leaf.serial_number)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(4)
    ]
    assert len({p.communicate()[0] for p in processes}) == 1


def test_lists_are_added_by_name_for_one_purpose(authority, video: Path, tmp_path: Path) -> None:
    root = tmp_path / "Root.pem"
    root.write_text(authority.anchors.pem)
    out = sign_file(video, tmp_path / "o.mp4", manifest=CAPTURED, signer=authority.material()).path
    add_trust_list(root, name="clock", kind="time-stamps", home=tmp_path)
    assert verify_file(out, default_policy(tmp_path)).state == "untrusted"
    add_trust_list(root, name="friends", home=tmp_path)
    assert verify_file(out, default_policy(tmp_path)).state == "trusted"
    assert [t.name for t in trust_lists(tmp_path)] == ["clock", "friends"]
    with pytest.raises(UsageError, match="already"):
        add_trust_list(root, name="friends", home=tmp_path)
    with pytest.raises(UsageError, match="cannot name"):
        add_trust_list(root, name="../../etc", home=tmp_path)


def test_a_name_without_a_namespace_or_a_wrong_word_is_refused() -> None:
    for wrong in (
        {"kind": "real"}, {"kind": "captured", "training": "maybe"}, {"kind": "captured", "assertions": {"note": {}}},
        {"kind": "ai-generated", "action_parameters": {"model": 1}},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            ManifestSpec(**wrong)


def test_a_locked_key_opens_with_its_password(authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, chain = written(authority, tmp_path)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(UsageError, match="FACEWITNESS_KEY_PASSWORD"):
        key_signer(key, chain)
    monkeypatch.setenv("FACEWITNESS_KEY_PASSWORD", "secret")
    assert isinstance(key_signer(key, chain), SigningMaterial)


def test_signing_onto_itself_replaces_the_file_whole(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    shutil.copy(video, path)
    sign_file(path, path, manifest=CAPTURED)
    assert verify_file(path).state == "trusted" and [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_builder_reads_back_what_it_wrote(signed: Signed) -> None:
    from hashlib import sha256

    assert signed.manifest_sha256 == sha256(signed.manifest).hexdigest() and signed.state == "trusted"
    assert signed.manifest in signed.path.read_bytes() and io.BytesIO(signed.manifest).read(8)[4:] == b"jumb"
