"""``facewitness sign`` and ``facewitness verify``."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facewitness.errors import MissingPieceError, UsageError

if TYPE_CHECKING:
    from facewitness.provenance.audit import Audit
    from facewitness.provenance.policy import Policy
    from facewitness.provenance.report import Sink

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command()
def sign(
    file: Annotated[
        Path, typer.Argument(help="Image, video or audio to sign, or a report of `facewitness scan` or `verify`.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="The signed file.")],
    kind: Annotated[str, typer.Option(help="ai-generated | ai-edited | captured.")] = "",
    parent: Annotated[
        Path | None, typer.Option(help="The file this one was edited from; it is opened as parent.")
    ] = None,
    ingredient: Annotated[
        list[Path] | None, typer.Option(help="A file that went into this one. May be repeated.")
    ] = None,
    clip: Annotated[
        Path | None, typer.Option(help="The clip a report speaks of, where it is not where it says.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Your private key, PEM.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Your certificate chain, PEM, signing certificate first.")] = None,
    sign_command: Annotated[
        str, typer.Option(help="A command that signs: bytes on stdin, signature on stdout. The key stays with it.")
    ] = "",
    time_stamp: Annotated[
        str,
        typer.Option(metavar="URL", help="RFC 3161 service asked for a stamp; default: $FACEWITNESS_TIME_STAMP_URL."),
    ] = "",
    sidecar: Annotated[
        Path | None, typer.Option(help="Write the manifest here and leave the file itself as it is.")
    ] = None,
    title: Annotated[str, typer.Option(help="Name of the file in its manifest.")] = "",
    description: Annotated[str, typer.Option(help="One sentence on what was done.")] = "",
    training: Annotated[str, typer.Option(help="Use for training: notAllowed | allowed | constrained.")] = "notAllowed",
    assertion: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=JSONFILE", help="A further statement. May be repeated.")
    ] = None,
    thumbnail: Annotated[bool, typer.Option(help="Put a small picture of the file into the manifest.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Sign a file with a C2PA manifest: whole and verified, or not at all.

    An edit of a signed file keeps its history: the file itself, or --parent, is opened as parent.
    A report of `facewitness scan` or `verify` on one clip (JSON) becomes a signed sheet (SVG), bound by hash to the
    clip it speaks of.
    """
    from facewitness.files import to_json
    from facewitness.provenance import requests
    from facewitness.provenance.inert import visible

    request = requests.SignRequest(
        file=file, out=out, kind=kind, parent=parent, ingredients=tuple(ingredient or ()), clip=clip, key=key,
        cert=cert, sign_command=sign_command, time_stamp_url=time_stamp or None, sidecar=sidecar, title=title,
        description=description, training=training, assertions=tuple(assertion or ()), thumbnail=thumbnail, force=force,
    )  # fmt: skip
    signed = requests.sign(request)
    if json:
        typer.echo(
            to_json(
                {
                    "schema": "facewitness.sign/1", "path": signed.path, "manifest_path": signed.manifest_path,
                    "manifest_id": signed.manifest_id, "manifest_sha256": signed.manifest_sha256, "state": signed.state,
                }
            )
        )  # fmt: skip
    else:
        where = f" with its manifest in {visible(str(signed.manifest_path))}" if signed.manifest_path else ""
        typer.echo(f"{visible(str(signed.path))}: signed{where}; reads as {signed.state} here")


@app.command()
def verify(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files, folders, or - for a list on stdin.")] = None,
    anchors: Annotated[
        list[Path] | None, typer.Option(help="PEM of authorities to trust for signers, beside the installed lists.")
    ] = None,
    time_stamp_anchors: Annotated[
        list[Path] | None, typer.Option(help="PEM of authorities to trust for time stamps, and nothing else.")
    ] = None,
    only_anchors: Annotated[
        bool, typer.Option("--only-anchors", help="Trust what --anchors names and no installed list.")
    ] = False,
    allow: Annotated[
        list[Path] | None, typer.Option(help="PEM of signers' own certificates to trust without an authority.")
    ] = None,
    signer: Annotated[
        list[str] | None,
        typer.Option(help="Trust only this signer: its name, organisation or certificate's SHA-256. May be repeated."),
    ] = None,
    at: Annotated[str, typer.Option(metavar="TIME", help="Validate as of this time (ISO 8601).")] = "",
    sidecar: Annotated[Path | None, typer.Option(help="The manifest of the one file given.")] = None,
    clip: Annotated[Path | None, typer.Option(help="The clip that the one signed report given must speak of.")] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Fetch remote manifests and revocation answers; else nothing is fetched.")
    ] = False,
    recover: Annotated[
        bool, typer.Option("--recover", help="Look for a lost manifest by watermark and fingerprint in the ledger.")
    ] = False,
    second_opinion: Annotated[
        bool, typer.Option("--second-opinion", help="Ask an independent validator too; disagreement is a finding.")
    ] = False,
    fail_on: Annotated[str, typer.Option(help="States that make the exit code 1, with commas.")] = "invalid",
    diff: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="OLD NEW", help="Say what changed between two audits (JSON lines)."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 is one more than cores.")] = 0,
    time_budget: Annotated[
        float, typer.Option(metavar="S", help="Seconds for a small file; large ones get more.")
    ] = 4.0,
    memory_budget: Annotated[int, typer.Option(metavar="MB", help="Memory one file may take.")] = 2048,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON line a file on stdout, as it comes.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Also write a table.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a self-contained page.")] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show every check, those that passed as well.")
    ] = False,
) -> None:
    """Verify the C2PA manifests of files and folders.

    States, never merged: trusted, untrusted, invalid, absent, unreadable, timeout.
    Exit code: 0 all trusted, 1 a state of --fail-on, 3 a file could not be read, 4 anything else.
    """
    if diff:
        raise typer.Exit(_diff(*diff, json=json))
    if not paths:
        raise UsageError("name files or folders to verify, or - to take a list from stdin.")
    from facewitness.provenance.gather import gather
    from facewitness.provenance.policy import Anchors, default_policy
    from facewitness.provenance.pool import VerifierPool
    from facewitness.provenance.report import JsonLines, JsonObject, write_reports
    from facewitness.provenance.text import Lines

    policy = default_policy(
        at=at or None, online=online, second_opinion=second_opinion, time_budget_s=time_budget,
        memory_budget_mb=memory_budget, only_signers=tuple(signer or ()),
        fail_on=tuple(s.strip() for s in fail_on.split(",") if s.strip()),
        allowed_pem="".join(_pem(p) for p in allow or ()),
    )  # fmt: skip
    named = [Anchors(name=p.stem, kind="signers", pem=_pem(p)) for p in anchors or ()]
    named += [Anchors(name=p.stem, kind="time-stamps", pem=_pem(p)) for p in time_stamp_anchors or ()]
    policy = _with_anchors(policy, named, only=only_anchors)
    if second_opinion:
        from facewitness.provenance.second import require

        require()
    single = len(paths) == 1 and str(paths[0]) != "-" and not paths[0].is_dir()
    if (sidecar or clip) and not single:
        raise UsageError("--sidecar and --clip go with exactly one file.")
    write = sys.stdout.write
    with contextlib.ExitStack() as stack:
        sinks: list[Sink] = []
        if jsonl:
            sinks.append(JsonLines(lambda text: (write(text), sys.stdout.flush())))
        elif json:
            sinks.append(JsonObject(write, policy, single=single))
        else:
            sinks.append(Lines(write, full=single, verbose=verbose, color=sys.stdout.isatty()))
        sinks += _files(stack, csv, html, policy)
        pool = stack.enter_context(VerifierPool(policy, **({"workers": workers} if workers else {})))
        found = ((p, sidecar) for p in gather(paths, sys.stdin.buffer))
        audits = pool.verify(found)
        audits = _recovered(audits) if recover else audits
        counts = write_reports(_speaking_of(clip, audits) if clip else audits, sinks)
    raise typer.Exit(policy.exit_code(set(counts)) if counts else _nothing(paths))


def _nothing(paths: list[Path]) -> int:
    named = ", ".join(map(str, paths[:3]))
    raise UsageError(f"there is no file in {named} that could carry a manifest.")


def _with_anchors(policy: "Policy", named: list[Any], *, only: bool) -> "Policy":
    from dataclasses import replace

    if only and not named:
        raise UsageError("--only-anchors needs --anchors.")
    return replace(policy, anchors=(*named,) if only else (*policy.anchors, *named))


def _pem(path: Path) -> str:
    from facewitness.provenance.keys import load_chain

    load_chain(path)
    return path.read_text()


def _files(stack: contextlib.ExitStack, csv: Path | None, html: Path | None, policy: "Policy") -> Iterator["Sink"]:
    from facewitness.files import whole_file
    from facewitness.provenance.report import Csv, Page

    if csv:
        part = stack.enter_context(whole_file(csv))
        yield Csv(stack.enter_context(part.open("w", encoding="utf-8", newline="")))
    if html:
        part = stack.enter_context(whole_file(html))
        yield Page(stack.enter_context(part.open("w", encoding="utf-8")), policy)


def _recovered(audits: Iterator["Audit"]) -> Iterator["Audit"]:
    """Look for the lost manifests of files that have none that holds."""
    from dataclasses import replace

    try:
        from facewitness.provenance.ledger import Ledger
        from facewitness.provenance.recover import recover
    except ImportError as e:
        raise MissingPieceError("lost manifests cannot be looked for in this version yet.") from e
    ledger = Ledger()
    for audit in audits:
        if audit.state in ("absent", "invalid"):
            audit = replace(audit, recovered=recover(Path(audit.path), ledger))
        yield audit


def _speaking_of(clip: Path, audits: Iterator["Audit"]) -> Iterator["Audit"]:
    """Hold a signed report against the clip it must speak of."""
    from facewitness.provenance.reports import speaks_of

    for audit in audits:
        yield speaks_of(audit, clip)


def _diff(old: Path, new: Path, *, json: bool) -> int:
    from facewitness.errors import EXIT_FINE, EXIT_NEGATIVE
    from facewitness.provenance.diff import diff_audits, lines
    from facewitness.provenance.report import ascii_json

    changes = diff_audits(old, new)
    if json:
        typer.echo(ascii_json({"schema": "facewitness.verify-diff/1", "changes": changes}))
    else:
        for line in lines(changes):
            typer.echo(line)
        typer.echo(f"{len(changes)} file{'s' if len(changes) != 1 else ''} changed")
    return EXIT_NEGATIVE if changes else EXIT_FINE
