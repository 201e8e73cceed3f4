"""Provenance: what files say of where they come from, how far that holds, and what changed between two audits."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from facewitness.dashboard import results, uploads, views, words
from facewitness.dashboard.clips import ReportClip
from facewitness.dashboard.fragment import part
from facewitness.dashboard.screens import compare, shell
from facewitness.dashboard.sheets import signed_sheet
from facewitness.files import plain, to_json
from facewitness.provenance.diff import Change, diff_audits, read_rows

STATES = ("trusted", "untrusted", "invalid", "absent", "unreadable", "timeout")
HEIGHT_PX = 400
AUDITS = ("jsonl", "json")
MOST_AUDITS = 20_000


def show() -> None:
    """Draw the page."""
    shell.heading(
        "Provenance",
        "Whether a file's manifest is intact and who stands for it. Trusted, untrusted, invalid and absent are four "
        "different things; only what is trusted is a fact.",
    )
    files, difference, trust = st.tabs(["Files", "Difference", "Trust lists"])
    with files:
        drop()
        audits = [*st.session_state.get("audits", []), *kept(shell.results_folder())]
        browse(audits)
    with difference:
        compare_audits()
    with trust:
        lists()


def kept(folder: Path) -> list[dict[str, Any]]:
    """The audits of the results folder, read again only when they change."""
    stamps = tuple((folder / n).stat().st_mtime_ns for n in ("verify.jsonl", "demo.json") if (folder / n).is_file())
    return _read(folder, stamps)


@st.cache_data(show_spinner=False, max_entries=4)
def _read(folder: Path, changed: tuple[int, ...]) -> list[dict[str, Any]]:
    del changed
    return results.audits_of(folder)


def drop() -> None:
    """Upload files and verify them; an audit that was kept as JSON is opened as it is."""
    shell.choose_folder()
    with st.form("verify", clear_on_submit=True, border=False):
        files = st.file_uploader(
            "Files to verify, or an audit to open (.jsonl, .json)", type=[*uploads.MEDIA, *AUDITS],
            accept_multiple_files=True,
        )  # fmt: skip
        left, middle, right, _ = st.columns([1, 3, 3, 5], vertical_alignment="center")
        pressed = left.form_submit_button("Verify", type="primary")
        recover = middle.toggle(
            "Look for lost manifests", help="By watermark and fingerprint in this machine's ledger."
        )
        second = right.toggle(
            "Ask a second validator", help="An independent implementation; disagreement is a finding."
        )
    if pressed and not files:
        st.warning("No file has arrived yet; choose one and wait until its upload is complete.")
    if not pressed or not files:
        return
    from facewitness.provenance import default_policy, verify_file

    policy = default_policy(second_opinion=second)
    made: list[dict[str, Any]] = []
    with st.spinner(f"Verifying {len(files)} file{'s' if len(files) != 1 else ''}"):
        for f in files:
            if f.name.rpartition(".")[2].lower() in AUDITS:
                made += opened_audit(f.getvalue())
                continue
            audit = plain(verify_file(uploads.keep(f.name, f), policy))
            if recover and audit["state"] in ("absent", "invalid"):
                audit["recovered"] = _recover(Path(audit["path"]))
            made.append(audit)
    st.session_state["audits"] = [*made, *st.session_state.get("audits", [])][:MOST_AUDITS]


def opened_audit(data: bytes) -> list[dict[str, Any]]:
    """The rows of an audit as ``verify --json`` or ``--jsonl`` writes it; raises UsageError for anything else."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        path.write_bytes(data)
        return [row for row in read_rows(path) if isinstance(row.get("state"), str)]


def _recover(path: Path) -> dict[str, Any] | None:
    from facewitness.errors import UnreadableInputError
    from facewitness.provenance.ledger import Ledger
    from facewitness.provenance.recover import recover

    try:
        return recover(path, Ledger())
    except UnreadableInputError:
        return None


def browse(audits: Sequence[dict[str, Any]]) -> None:
    """The table of audits by state, and the chosen one in full."""
    if not audits:
        shell.nothing_yet(
            "No file was verified yet. Drop some above, or audit a folder from the command line:",
            f"facewitness verify FOLDER --jsonl > {shell.results_folder() / 'verify.jsonl'}",
        )
        return
    counts = Counter(str(a.get("state")) for a in audits)
    chosen = st.pills(
        "State",
        [s for s in STATES if counts[s]],
        selection_mode="multi",
        format_func=lambda s: f"{words.STATES[s].sign} {words.STATES[s].name}  {counts[s]:,}",
        key="states",
    )
    shown = [a for a in audits if not chosen or a.get("state") in chosen]
    picked = st.dataframe(
        _frame(shown),
        hide_index=True,
        height=min(HEIGHT_PX, 38 + 35 * max(1, len(shown))),
        selection_mode="single-row",
        on_select="rerun",
        key="audit-rows",
    )
    rows = picked["selection"]["rows"]
    asked = st.query_params.get("file", "")
    named = next((a for a in shown if asked and a.get("sha256") == asked), None)
    one = shown[rows[0]] if rows and rows[0] < len(shown) else named or (shown[0] if shown else None)
    if one is not None:
        detail(one, audits)
    downloads(shown)


def _frame(audits: Sequence[dict[str, Any]]) -> pd.DataFrame:
    def row(a: dict[str, Any]) -> dict[str, Any]:
        state, ai = words.word(words.STATES, a.get("state")), words.word(words.AI, a.get("ai"))
        failed = [c.get("explanation") for c in a.get("codes") or [] if not c.get("success")]
        return {
            "State": f"{state.sign} {state.name}",
            "AI": f"{ai.sign} {ai.name}" if a.get("ai") in ("generated", "edited") else "",
            "File": Path(str(a.get("path"))).name,
            "Signer": (a.get("signer") or {}).get("common_name") or "",
            "First failed check": failed[0] if failed else str(a.get("error") or ""),
            "Made from": len(a.get("ingredients") or []),
            "Folder": str(Path(str(a.get("path"))).parent),
        }

    return pd.DataFrame([row(a) for a in audits])


def detail(audit: dict[str, Any], all_audits: Sequence[dict[str, Any]]) -> None:
    """One audit: what it means, every check, certificates, raw; what it was made from, to compare."""
    path = Path(str(audit.get("path")))
    pictures = _pictures(path, path.stat().st_mtime_ns, str(audit.get("media_type") or "")) if path.is_file() else None
    view = views.audit_view(audit, pictures)
    st.html('<div style="height:.6rem"></div>')
    left, right = st.columns([2, 3], gap="large")
    with left:
        part("file_name", path.name)
        if audit.get("sha256"):
            with st.popover("Address of this audit"):
                st.code(shell.permalink(file=str(audit["sha256"])), language=None)
        told = part("audit", view, True, key=f"audit-{audit.get('sha256')}-{audit.get('validated_at')}")
        if pressed := getattr(told, "go", None):
            st.session_state["beside"] = (audit.get("sha256"), str(pressed))
        signed_report(audit, path)
    with right:
        checks, certificates, raw = st.tabs(["Checks", "Certificates", "JSON"])
        with checks:
            part("checks", view)
        with certificates:
            part("certificates", view)
        with raw:
            part("raw", view)
    whose, where = st.session_state.get("beside", (None, ""))
    if view and whose and whose == audit.get("sha256"):
        beside(audit, view, where, all_audits)


@st.cache_data(show_spinner="Reading the pictures in the manifest", max_entries=256)
def _pictures(path: Path, changed: int, media_type: str) -> dict[str, Any] | None:
    del changed
    from facewitness.provenance.thumbnails import thumbnails

    return thumbnails(path, media_type) if media_type else None


def beside(
    audit: dict[str, Any], view: dict[str, Any], where: str, all_audits: Sequence[dict[str, Any]]
) -> None:  # fmt: skip
    """A file and one thing it was made from: their pictures and facts, and players in step where both are here."""
    node = views.node_at(view["tree"], where)
    if node is None:
        return
    st.markdown("##### Beside what it was made from")
    part("beside", view, node, Path(str(audit.get("path"))).name)
    known = (a for a in all_audits if node["manifest"] and a.get("manifest_id") == node["manifest"])
    other = next((p for a in known if (p := Path(str(a.get("path")))).is_file()), None)
    path = Path(str(audit.get("path")))
    moving = all(str(p.suffix).lower().lstrip(".") in uploads.VIDEO for p in (path, other) if p)
    if other is None or not path.is_file() or not moving:
        st.caption(
            "The other file is not among the audits shown here, so only what the manifest holds can be compared."
        )
        return
    clips = [ReportClip(path=path), ReportClip(path=other)]
    compare.players(clips, key="beside", segments=[])


def signed_report(audit: dict[str, Any], path: Path) -> None:
    """The audit as a signed sheet, where the file it speaks of is still here."""
    if not path.is_file() or not audit.get("sha256"):
        st.caption("The file is not here any more, so a report on it cannot be signed.")
        return
    st.download_button(
        "Signed report", lambda: signed_sheet(audit, path), f"{path.stem}-audit.svg", "image/svg+xml",
        help="This audit as a sheet that carries a manifest of its own, signed by this installation; "
        "check it with: facewitness verify SHEET.svg --clip FILE",
    )  # fmt: skip


def downloads(audits: Sequence[dict[str, Any]]) -> None:
    """The audits shown, as a page and as JSON lines."""
    left, right, _ = st.columns([1, 1, 4])
    left.download_button("Report as a page", lambda: _page(audits), "audit.html", "text/html")
    lines = "".join(to_json(a) + "\n" for a in audits)
    right.download_button("Audits as JSON lines", lines, "verify.jsonl", "application/jsonl")


def _page(audits: Sequence[dict[str, Any]]) -> bytes:
    from facewitness.provenance import Audit, default_policy
    from facewitness.provenance.report import Page, write_reports

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.html"
        with path.open("w", encoding="utf-8") as out:
            write_reports((Audit.from_row(a) for a in audits), [Page(out, default_policy())])
        return path.read_bytes()


def compare_audits() -> None:
    """What changed between two audits kept as JSON lines."""
    st.markdown("Two audits of the same files, as `facewitness verify --jsonl` writes them:")
    left, right = st.columns(2)
    old = left.file_uploader("Before", type=["jsonl", "json"], key="old")
    new = right.file_uploader("After", type=["jsonl", "json"], key="new")
    if not old or not new:
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.jsonl", "new.jsonl")]
        for path, file in zip(paths, (old, new), strict=True):
            path.write_bytes(file.getvalue())
        changes = diff_audits(*paths)
    if not changes:
        st.success("Nothing changed.")
        return
    st.markdown(f"**{len(changes)}** file{'s' if len(changes) != 1 else ''} changed")
    part("changes", [_change(c) for c in changes[:2000]])


def _change(change: Change) -> dict[str, Any]:
    def said(value: Any) -> str:
        if value is None or value == []:
            return "nothing"
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    rows = [
        (name if change.kind == "changed" else change.kind, said(was), said(now))
        for name, (was, now) in change.fields.items()
    ]
    return {"path": change.path, "rows": rows}


def lists() -> None:
    """Whom this installation trusts, as what, and since when."""
    from facewitness.provenance import trust_lists

    found = trust_lists()
    if not found:
        shell.nothing_yet("No trust list is installed: every signer reads as untrusted.", "facewitness trust init")
        return
    frame = pd.DataFrame(
        [
            {
                "List": t.name,
                "Vouches for": t.kind,
                "Since": t.added_at[:19],
                "Source": t.source,
                "Certificates": t.pem.count("BEGIN CERT"),
            }
            for t in found
        ]
    )
    st.dataframe(frame, hide_index=True)
    st.caption("Add one with: facewitness trust add LIST.pem")
