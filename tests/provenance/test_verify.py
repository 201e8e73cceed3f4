"""What was done to a signed file, and what the verifier says of it: state and code, one case a row."""

import datetime
import importlib.util
import struct
import time
from pathlib import Path

import av
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from facewitness.errors import MissingPieceError, UsageError
from facewitness.provenance.audit import Audit
from facewitness.provenance.boxes import C2PA_UUID, top_boxes
from facewitness.provenance.manifest import Ingredient, ManifestSpec
from facewitness.provenance.policy import Anchors, Policy, default_policy
from facewitness.provenance.sign import Signed, sign_file
from facewitness.provenance.verify import verify_file, verify_many

BMFF_MISMATCH = "assertion.bmffHash.mismatch"


def failures(audit: Audit) -> set[str]:
    return {c.code for c in audit.codes if not c.success}


def box(data: bytes, kind: bytes) -> tuple[int, int]:
    """Start of the content and end of the first top-level box of a kind."""
    import io

    for found, at, head, length in top_boxes(io.BytesIO(data), len(data)):
        if found == kind:
            return at + head, at + length
    raise AssertionError(kind)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def middle(data: bytes, kind: bytes) -> bytes:
    start, end = box(data, kind)
    return flipped(data, (start + end) // 2)


def manifest_box(data: bytes) -> bytes:
    start, end = box(data, b"uuid")
    assert data[start : start + 16] == C2PA_UUID
    return data[start - 8 : end]


def transplanted(data: bytes, other: bytes) -> bytes:
    """Another file's body under this file's manifest."""
    start, end = box(data, b"uuid")
    _, tail = box(other, b"ftyp")
    return other[:tail] + data[start - 8 : end] + other[tail:]


TAMPERED = {
    "a byte of the media": (lambda d: middle(d, b"mdat"), "invalid", BMFF_MISMATCH),
    "the first byte of the media": (lambda d: flipped(d, box(d, b"mdat")[0]), "invalid", BMFF_MISMATCH),
    "the last byte of the media": (lambda d: flipped(d, box(d, b"mdat")[1] - 1), "invalid", BMFF_MISMATCH),
    "a byte of the index": (lambda d: middle(d, b"moov"), "invalid", BMFF_MISMATCH),
    "a byte of the label": (lambda d: flipped(d, d.index(b"sample-a")), "invalid", "assertion.hashedURI.mismatch"),
    "a byte of the actions": (
        lambda d: flipped(d, d.index(b"trainedAlgorithmicMedia")), "invalid", "assertion.hashedURI.mismatch",
    ),
    "a byte of the claim": (lambda d: flipped(d, d.index(b"dc:title") + 10), "invalid", "claimSignature.mismatch"),
    "boxes appended: media": (lambda d: d + struct.pack(">I4s", 16, b"mdat") + b"hostile!", "invalid", BMFF_MISMATCH),
    "boxes appended: padding": (lambda d: d + struct.pack(">I4s", 16, b"free") + b"hostile!", "invalid", BMFF_MISMATCH),
    "a second manifest, after": (lambda d: d + manifest_box(d), "invalid", None),
    "a second manifest, before": (
        lambda d: d[: box(d, b"ftyp")[1]] + manifest_box(d) + d[box(d, b"ftyp")[1] :], "invalid", None,
    ),
    "the manifest box renamed": (lambda d: d.replace(C2PA_UUID, C2PA_UUID[::-1]), "absent", None),
    "the manifest cut out": (lambda d: d.replace(manifest_box(d), b""), "absent", None),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_file_reads_as_what_was_done_to_it(what: str, signed: Signed, tmp_path: Path) -> None:
    tamper, state, code = TAMPERED[what]
    path = tmp_path / "tampered.mp4"
    path.write_bytes(tamper(signed.path.read_bytes()))
    audit = verify_file(path)
    assert audit.state == state, (audit.error, failures(audit))
    assert code is None or code in failures(audit)
    assert audit.ai == "unknown" and audit.label is None, "what does not hold is not presented as a fact"


def test_an_untouched_file_is_trusted_and_says_what_it_is(signed: Signed) -> None:
    audit = verify_file(signed.path)
    assert (audit.state, audit.ai, audit.error) == ("trusted", "generated", None)
    assert audit.label and audit.label["target_id"] == "sample-a"
    assert audit.signer and audit.signer["common_name"] == "facewitness development signer"
    assert [c["common_name"] for c in audit.signer["chain"]] == ["facewitness development issuer"]
    assert audit.trust_list and audit.trust_list.startswith("development (20")
    assert audit.missing == ("time_stamp", "revocation")
    assert not failures(audit) and all(c.explanation for c in audit.codes)
    assert audit.sha256 and len(audit.sha256) == 64


def test_a_flipped_bit_of_the_signature_is_found(signed: Signed, tmp_path: Path) -> None:
    from facewitness.provenance import cose

    data = signed.path.read_bytes()
    signature = cose.signature_of(signed.manifest, signed.manifest_id)[3]
    path = tmp_path / "t.mp4"
    path.write_bytes(flipped(data, data.index(signature) + 20))
    audit = verify_file(path)
    assert audit.state == "invalid" and "claimSignature.mismatch" in failures(audit)


def test_a_manifest_of_another_file_does_not_fit(signed: Signed, other_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.mp4"
    path.write_bytes(transplanted(signed.path.read_bytes(), other_video.read_bytes()))
    audit = verify_file(path)
    assert audit.state == "invalid" and BMFF_MISMATCH in failures(audit)


@pytest.mark.parametrize("encode", [False, True], ids=["remuxed", "re-encoded"])
def test_a_file_that_was_written_anew_has_no_manifest(signed: Signed, tmp_path: Path, encode: bool) -> None:
    path = tmp_path / "new.mp4"
    with av.open(str(signed.path)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        if encode:
            copy = out.add_stream("libx264", rate=25)
            copy.width, copy.height, copy.pix_fmt = stream.width, stream.height, "yuv420p"
            for frame in source.decode(stream):
                out.mux(copy.encode(frame.reformat(format="yuv420p")))
            out.mux(copy.encode())
        else:
            copy = out.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    assert verify_file(path).state == "absent"


def test_a_truncated_file_never_holds(signed: Signed, tmp_path: Path) -> None:
    data = signed.path.read_bytes()
    paths = []
    for n, cut in enumerate(sorted({1, 7, 8, 40, len(data) - 1, *range(64, len(data), len(data) // 40)})):
        path = tmp_path / f"{n}.mp4"
        path.write_bytes(data[:cut])
        paths.append(path)
    states = {a.state for a in verify_many(paths, workers=2)}
    assert states <= {"invalid", "absent", "unreadable"}


def test_padding_that_another_signer_left_unhashed_is_reported(video: Path, authority, tmp_path: Path) -> None:
    from c2pa import Builder, Context, Settings

    from facewitness.provenance.keys import c2pa_signer

    out, material = tmp_path / "other.mp4", authority.material()
    builder = Builder(
        {"claim_generator_info": [{"name": "someone"}], "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType":
                "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"}]}}]},
        context=Context(Settings.from_dict({"verify": {"verify_after_sign": False}})),
    )  # fmt: skip
    builder.sign_file(str(video), str(out), c2pa_signer(material, []))
    assert verify_file(out, authority.policy).extra_boxes == ()
    out.write_bytes(out.read_bytes() + struct.pack(">I4s", 24, b"free") + b"a hidden message")
    audit = verify_file(out, authority.policy)
    assert audit.state == "trusted"
    assert [(b["type"], b["bytes"]) for b in audit.extra_boxes] == [("free", 16)]


# --- whom to believe


def test_a_stranger_is_untrusted_and_trusted_once_anchored(forger, authority) -> None:
    stranger = verify_file(forger.file)
    assert stranger.state == "untrusted" and "signingCredential.untrusted" in failures(stranger)
    assert stranger.ai == "unknown" and stranger.claims and stranger.claims["ai"] == "none"
    known = verify_file(forger.file, authority.policy)
    assert known.state == "trusted" and known.trust_list == "elsewhere (2026-01-01)" and known.ai == "none"


def test_an_authority_for_time_stamps_makes_no_signer_trusted(forger, authority) -> None:
    anchors = Anchors(name="clock", kind="time-stamps", pem=authority.anchors.pem)
    audit = verify_file(forger.file, Policy(anchors=(anchors,)))
    assert audit.state == "untrusted"
    assert {"signingCredential.untrusted", "org.facewitness.trust.wrongKind"} <= failures(audit)


def test_only_named_signers_may_be_asked_for(forger, authority) -> None:
    from dataclasses import replace

    assert verify_file(forger.file, replace(authority.policy, only_signers=("A signer",))).state == "trusted"
    refused = verify_file(forger.file, replace(authority.policy, only_signers=("Somebody else",)))
    assert refused.state == "untrusted" and "signingCredential.notOnList" in failures(refused)


def test_a_signer_can_be_allowed_without_an_authority(forger) -> None:
    pem = forger.original.leaf.public_bytes(serialization.Encoding.PEM).decode()
    audit = verify_file(forger.file, Policy(allowed_pem=pem))
    assert audit.state == "trusted" and audit.trust_list == "allowed"


def test_a_missing_issuer_reads_as_untrusted(video: Path, authority, tmp_path: Path) -> None:
    from dataclasses import replace

    material = authority.material()
    alone = replace(material, chain=material.chain[:1])
    out = sign_file(video, tmp_path / "o.mp4", manifest=ManifestSpec(kind="captured"), signer=alone).path
    assert verify_file(out, authority.policy).state == "untrusted"


def test_a_policy_that_makes_no_sense_is_refused(authority) -> None:
    for wrong in (
        {"anchors": (Anchors(name="x", kind="signers", pem="no certificate"),)},
        {"anchors": (Anchors(name="x", kind="friends", pem=authority.anchors.pem),)},
        {"allowed_pem": "nobody"},
        {"fail_on": ("sadness",)},
        {"at": "yesterday"},
    ):
        with pytest.raises(UsageError):
            Policy(**wrong)


def test_a_verifier_that_cannot_start_blames_no_file(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(MissingPieceError, match="could not start"):
        list(verify_many([signed.path], workers=1))


NOW = datetime.datetime.now(datetime.UTC)
YEAR = datetime.timedelta(days=365)
OUTSIDE = {"signingCredential.expired", "claimSignature.outsideValidity"}
UNFIT = {"signingCredential.invalid"}
FORGED = {
    "expired": ({"not_before": NOW - 2 * YEAR}, "invalid", OUTSIDE),
    "not yet valid": ({"not_before": NOW + YEAR}, "invalid", OUTSIDE),
    "an authority's own": ({"ca": True}, "invalid", UNFIT),
    "for web servers": ({"usages": (ExtendedKeyUsageOID.SERVER_AUTH,)}, "invalid", UNFIT),
    "for time stamps": ({"usages": (ExtendedKeyUsageOID.TIME_STAMPING,)}, "invalid", UNFIT),
    "for anything": ({"usages": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, "invalid", UNFIT),
    "honest": ({}, "trusted", set()),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_certificate_that_must_not_sign_is_refused_by_the_reader(
    what: str, forger, authority, tmp_path: Path
) -> None:
    certificate, state, codes = FORGED[what]
    path = forger.with_leaf(tmp_path / "forged.mp4", **certificate)
    audit = verify_file(path, authority.policy)
    assert audit.state == state, failures(audit)
    assert not codes or codes & failures(audit), failures(audit)


def test_a_self_made_certificate_with_a_trusted_name_is_untrusted(forger, authority, tmp_path: Path) -> None:
    from facewitness.provenance.keys import new_key
    from facewitness.provenance.trust import issue

    key = new_key("es256")
    namesake = issue("Another issuer", key, ca=True)
    audit = verify_file(forger.with_leaf(tmp_path / "f.mp4", issuer=(namesake, key)), authority.policy)
    assert audit.state in ("untrusted", "invalid") and "signingCredential.trusted" not in {c.code for c in audit.codes}


def test_a_key_that_does_not_fit_its_certificate_reads_as_invalid(forger, authority, tmp_path: Path) -> None:
    from facewitness.provenance.keys import new_key, raw_signature

    wrong = new_key("es256")
    path = forger.rewrite(tmp_path / "f.mp4", [], lambda data: raw_signature(wrong, data))
    audit = verify_file(path, authority.policy)
    assert audit.state == "invalid" and "claimSignature.mismatch" in failures(audit)


def test_a_stated_time_decides_what_had_expired(forger, authority, tmp_path: Path) -> None:
    from dataclasses import replace

    path = forger.with_leaf(tmp_path / "f.mp4", not_before=NOW - 2 * YEAR)
    then = (NOW - 2 * YEAR + datetime.timedelta(days=10)).isoformat()
    audit = verify_file(path, replace(authority.policy, at=then))
    assert audit.state == "trusted" and audit.validated_at == then
    if importlib.util.find_spec("encypher_c2pa"):
        second = verify_file(path, replace(authority.policy, at=then[:10], second_opinion=True)).second_opinion
        assert second and second["agrees"], second
    later = (NOW + 3 * YEAR).isoformat()
    fresh = verify_file(forger.file, replace(authority.policy, at=later))
    assert fresh.state == "invalid" and "signingCredential.expired" in failures(fresh)


# --- ingredients


def test_ingredients_keep_their_own_result(signed: Signed, video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(middle(signed.path.read_bytes(), b"mdat"))
    spec = ManifestSpec(
        kind="ai-edited",
        ingredients=(
            Ingredient(path=signed.path, title="good"),
            Ingredient(path=broken, title="bad"),
            Ingredient(path=video, title="none"),
        ),
    )
    out = sign_file(video, tmp_path / "o.mp4", manifest=spec).path
    audit = verify_file(out)
    assert audit.state == "trusted", "the file itself holds"
    assert {i["title"]: i["state"] for i in audit.ingredients} == {
        "good": "trusted",
        "bad": "invalid",
        "none": "absent",
    }
    bad = next(i for i in audit.ingredients if i["title"] == "bad")
    assert BMFF_MISMATCH in {f["code"] for f in bad["failures"]}


def test_an_ingredient_under_an_authority_for_time_stamps_is_untrusted(
    forger, video: Path, authority, tmp_path: Path
) -> None:
    spec = ManifestSpec(kind="ai-edited", ingredients=(Ingredient(path=forger.file),))
    out = sign_file(video, tmp_path / "o.mp4", manifest=spec).path
    policy = default_policy()
    clock = Anchors(name="clock", kind="time-stamps", pem=authority.anchors.pem)
    assert verify_file(out, policy).ingredients[0]["state"] == "untrusted"
    assert verify_file(out, Policy(anchors=(*policy.anchors, clock))).ingredients[0]["state"] == "untrusted"
    assert verify_file(out, Policy(anchors=(*policy.anchors, authority.anchors))).ingredients[0]["state"] == "trusted"


def test_the_tree_goes_as_deep_as_the_history(signed: Signed, tmp_path: Path) -> None:
    path = signed.path
    for n in range(4):
        spec = ManifestSpec(kind="ai-edited", ingredients=(Ingredient(path=path, relationship="parentOf"),))
        path = sign_file(path, tmp_path / f"{n}.mp4", manifest=spec).path
    audit = verify_file(path)
    depth, inside = 0, audit.ingredients
    while inside:
        assert inside[0]["state"] == "trusted"
        depth, inside = depth + 1, inside[0]["ingredients"]
    assert depth == 4 and audit.ai == "edited"


# --- hostile files


def test_a_file_of_countless_boxes_ends_within_five_seconds(tmp_path: Path) -> None:
    path = tmp_path / "boxes.mp4"
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom")
    path.write_bytes(head + struct.pack(">I4s", 8, b"free") * 500_000)
    inner = tmp_path / "inner.mp4"
    body = struct.pack(">I4s", 8, b"free") * 500_000
    inner.write_bytes(head + struct.pack(">I4s", len(body) + 8, b"moov") + body)
    good = tmp_path / "good.mp4"
    good.write_bytes(head)
    begun = time.monotonic()
    states = [a.state for a in verify_many([path, inner, good], workers=1)]
    assert time.monotonic() - begun < 5 and states[:2] == ["unreadable", "unreadable"] and len(states) == 3


def test_a_worker_that_hangs_or_starves_costs_one_row(signed: Signed, tmp_path: Path) -> None:
    from dataclasses import replace

    hanging = tmp_path / "hanging.mp4"
    hanging.write_bytes(
        struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom") + struct.pack(">I4s", 8, b"free") * 11_990
    )
    policy = replace(default_policy(), time_budget_s=0.2)
    audits = list(verify_many([hanging, signed.path, hanging, signed.path], policy, workers=1))
    assert [a.state for a in audits] == ["timeout", "trusted", "timeout", "trusted"]
    assert audits[0].error and "time budget" in audits[0].error


def test_a_file_that_needs_too_much_memory_is_a_row(signed: Signed, tmp_path: Path) -> None:
    from dataclasses import replace

    greedy = tmp_path / "greedy.pdf"
    greedy.write_bytes(b"%PDF-1.7\n" + b"0" * 60_000_000)
    policy = replace(default_policy(), memory_budget_mb=24)
    audits = list(verify_many([greedy, signed.path], policy, workers=1))
    assert [a.state for a in audits] == ["unreadable", "trusted"], audits[0].error


def test_odd_files_are_rows(signed: Signed, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.mp4", tmp_path / "notes.txt"
    empty.touch()
    text.write_text("not a video")
    fake = tmp_path / "fake.mp4"
    fake.write_bytes(b"\0" * 64)
    web = tmp_path / "clip.webm"
    web.write_bytes(b"\x1a\x45\xdf\xa3" + b"\0" * 64)
    audits = list(verify_many([tmp_path / "nothing.mp4", empty, text, fake, web, tmp_path, signed.path], workers=1))
    assert [a.state for a in audits[:6]] == ["unreadable"] * 6 and audits[6].state == "trusted"
    assert all(a.error and "Traceback" not in a.error for a in audits[:6])


def test_a_lying_name_does_not_change_what_a_file_is(signed: Signed, tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(signed.path.read_bytes())
    audit = verify_file(path)
    assert audit.state == "trusted" and audit.media_type == "video/mp4"


def test_two_runs_differ_in_nothing_but_their_time(signed: Signed, video: Path) -> None:
    from dataclasses import asdict

    first, second = ([asdict(a) for a in verify_many([signed.path, video])] for _ in range(2))
    for row in (*first, *second):
        row.pop("validated_at")
    assert first == second


def test_nothing_is_fetched_unless_asked(video: Path, tmp_path: Path) -> None:
    import http.server
    import threading
    from dataclasses import replace

    import cv2
    import numpy as np
    from c2pa import Builder

    from facewitness.provenance.keys import c2pa_signer
    from facewitness.provenance.manifest import definition
    from facewitness.provenance.trust import ensure_signer

    asked: list[str] = []
    served: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/c2pa")
            self.send_header("Content-Length", str(len(served[0])))
            self.end_headers()
            self.wfile.write(served[0])

        def log_message(self, *args: object) -> None:
            pass

    picture, out = tmp_path / "p.jpg", tmp_path / "remote.jpg"
    cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        spec = ManifestSpec(kind="captured", training=None)
        builder = Builder(definition(spec, title="p", media_type="image/jpeg"))
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/p.c2pa")
        served.append(builder.sign_file(str(picture), str(out), c2pa_signer(ensure_signer(), [])))
        closed = verify_file(out)
        assert closed.state == "absent" and failures(closed) == {"manifest.inaccessible"} and not asked
        opened = verify_file(out, replace(default_policy(), online=True))
        assert opened.state == "trusted" and asked == ["/p.c2pa"]
        server.shutdown()


def test_threads_and_forked_processes_may_verify_at_once(signed: Signed) -> None:
    import multiprocessing
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        assert {a.state for a in pool.map(verify_file, [signed.path] * 12)} == {"trusted"}
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as processes:
        assert {a.state for a in processes.map(verify_file, [signed.path] * 4)} == {"trusted"}
    assert verify_file(signed.path).state == "trusted"


def test_a_manifest_of_many_statements_is_still_read(video: Path, tmp_path: Path) -> None:
    spec = ManifestSpec(kind="captured", assertions={f"org.example.n{n}": {"n": n} for n in range(700)})
    audit = verify_file(sign_file(video, tmp_path / "o.mp4", manifest=spec).path)
    assert audit.state == "trusted" and 300 < len(audit.codes) <= 400


@pytest.mark.parametrize(
    ("source", "opened", "expected"),
    [
        ("trainedAlgorithmicMedia", False, "generated"),
        ("trainedAlgorithmicMedia", True, "edited"),
        ("compositeWithTrainedAlgorithmicMedia", False, "edited"),
        ("screenCapture", False, "none"),
        ("aWordNobodyKnows", False, "unknown"),
        (None, True, "generated"),
    ],
)
def test_whether_a_model_was_at_work_is_read_from_the_actions(
    source: str | None, opened: bool, expected: str, signed: Signed, video: Path, tmp_path: Path
) -> None:
    from c2pa import Builder

    from facewitness.provenance.keys import c2pa_signer
    from facewitness.provenance.trust import ensure_signer

    said = {"digitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{source}"} if source else {}
    actions = [{"action": "c2pa.edited" if opened else "c2pa.created", **said}]
    if opened:
        actions.insert(0, {"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}})
    builder = Builder(
        {"claim_generator_info": [{"name": "someone"}],
         "assertions": [{"label": "c2pa.actions.v2", "created": True, "data": {"actions": actions}}]}
    )  # fmt: skip
    if opened:
        with signed.path.open("rb") as f:
            builder.add_ingredient({"title": "p", "relationship": "parentOf", "label": "parent"}, "video/mp4", f)
    out = tmp_path / "o.mp4"
    builder.sign_file(str(video), str(out), c2pa_signer(ensure_signer(), []))
    audit = verify_file(out)
    assert (audit.state, audit.ai) == ("trusted", expected)
