"""Audits as lines for a terminal; nothing a manifest says reaches the terminal unescaped."""

from collections.abc import Callable, Iterator
from typing import Any

from facewitness.provenance.audit import Audit
from facewitness.provenance.inert import visible
from facewitness.provenance.report import MEANING

_COLORS = {"trusted": 32, "untrusted": 33, "invalid": 31}
_MISSING = {"time_stamp": "a trusted time of signing", "revocation": "an answer on revocation"}


class Lines:
    """One line a file; ``full`` shows everything about each, ``verbose`` the checks that passed as well."""

    def __init__(self, write: Callable[[str], Any], *, full: bool = False, verbose: bool = False, color: bool = False):
        self._write, self._full, self._verbose, self._color = write, full, verbose, color

    def row(self, audit: Audit) -> None:
        """Write the line of one file, and where ``full`` what stands behind it."""
        signer = visible((audit.signer or {}).get("common_name", ""), 60) if audit.state == "trusted" else ""
        ai = {"generated": "AI-generated", "edited": "AI-edited"}.get(audit.ai, "")
        why = self._why(audit)
        notes = "  ".join(n for n in (ai, signer, why) if n)
        self._write(f"{self._state(audit.state)}  {visible(audit.path, 1000)}  {notes}".rstrip() + "\n")
        if self._full or self._verbose:
            for line in details(audit, verbose=self._verbose):
                self._write(f"  {line}\n")

    def end(self, counts: dict[str, int]) -> None:
        """Write how many files there are in each state."""
        total = sum(counts.values())
        if total != 1:
            self._write(f"{total} files: " + ", ".join(f"{n} {state}" for state, n in counts.items()) + "\n")

    def _state(self, state: str) -> str:
        word = f"{state:<10}"
        return f"\x1b[1;{_COLORS.get(state, 36)}m{word}\x1b[0m" if self._color else word

    def _why(self, audit: Audit) -> str:
        if audit.error:
            return visible(audit.error)
        failures = [c for c in audit.codes if not c.success]
        return visible(failures[0].explanation) if failures else ""


def details(audit: Audit, *, verbose: bool = False) -> Iterator[str]:
    """Everything about one file, line by line."""
    yield MEANING[audit.state]
    if audit.signer:
        yield "signer: " + _certificate(audit.signer) + ("" if audit.state == "trusted" else " (claimed)")
        for cert in audit.signer.get("chain") or []:
            yield "issued by: " + _certificate(cert)
    if audit.trust_list:
        yield f"vouched for by the list {visible(audit.trust_list)}"
    if audit.signed_at:
        yield f"signed at {visible(audit.signed_at)}"
    for action in (audit.claims or {}).get("actions") or []:
        source = f" ({visible(action['source'])})" if "source" in action else ""
        yield f"{'said' if audit.state == 'trusted' else 'claimed'}: {visible(action.get('action', ''))}{source}"
    for code in audit.codes:
        if not code.success:
            detail = f" [{visible(code.detail)}]" if code.detail else ""
            yield f"failed: {code.explanation} {visible(code.code)}{detail}"
        elif verbose or code.kind == "informational":
            yield f"{'note' if code.kind == 'informational' else 'passed'}: {code.explanation} {visible(code.code)}"
    if audit.ingredients:
        yield "made from:"
        yield from _tree(audit.ingredients, 1)
    if audit.missing:
        yield "not there: " + ", ".join(_MISSING.get(m, m) for m in audit.missing)
    for box in audit.extra_boxes:
        where = f" at {box['offset']}" if box.get("offset") is not None else ""
        yield f"data nobody signed: {visible(box['type'])}, {box['bytes']} bytes{where}"
    if audit.recovered:
        yield f"possible match by {visible(audit.recovered.get('match'))}: a lead, not a proof"
    if audit.second_opinion:
        verdict = {True: "agrees", False: "DISAGREES", None: "no verdict"}[audit.second_opinion.get("agrees")]
        why = f" ({visible(audit.second_opinion['why'])})" if audit.second_opinion.get("why") else ""
        yield f"second opinion, {audit.second_opinion['validator']}: {audit.second_opinion['state']}, {verdict}{why}"
    yield f"SHA-256 {audit.sha256 or 'not taken'}; validated at {audit.validated_at}"


def _tree(ingredients: Any, depth: int) -> Iterator[str]:
    for i in ingredients:
        by = f", signed by {visible(i['signer'].get('common_name', ''))}" if i.get("signer") else ""
        yield f"{'  ' * depth}{i['state']}: {visible(i.get('title') or 'without a name')} ({i.get('relationship')}{by})"
        for failure in i.get("failures") or []:
            yield f"{'  ' * (depth + 1)}failed: {failure['explanation']} {visible(failure['code'])}"
        yield from _tree(i.get("ingredients") or [], depth + 1)


def _certificate(cert: dict[str, Any]) -> str:
    named = ", ".join(visible(cert[k]) for k in ("common_name", "organisation") if cert.get(k))
    until = f", valid {cert['not_before']} to {cert['not_after']}" if cert.get("not_after") else ""
    return named + until
