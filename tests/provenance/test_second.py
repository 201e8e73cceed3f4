"""Two validators that share no code: agreement is said, disagreement is a finding, silence is neither."""

from facewitness.provenance.audit import Audit
from facewitness.provenance.second import DISAGREEMENT, with_opinion


def test_disagreement_is_a_finding_and_silence_is_not() -> None:
    audit = Audit(path="a.mp4", sha256=None, state="trusted")
    agreed, differs, silent = (
        with_opinion(audit, {"validator": "other", "state": s, "failures": []}) for s in ("trusted", "invalid", "none")
    )
    assert agreed.second_opinion and agreed.second_opinion["agrees"] is True and not agreed.codes
    assert differs.second_opinion and differs.second_opinion["agrees"] is False and differs.state == "trusted"
    assert [(c.code, c.success) for c in differs.codes] == [(DISAGREEMENT, False)]
    assert silent.second_opinion and silent.second_opinion["agrees"] is None and not silent.codes
