"""A team's store in PostgreSQL keeps the same promises (a real server, started for the test)."""

import pytest
import sqlalchemy as sa

from facewitness.detector.engine import open_store
from facewitness.errors import FacewitnessError, UsageError


def test_a_scan_into_postgres_resumes_is_reviewed_and_keeps_its_log(postgres, clips, scan, tmp_path):
    folder = clips("a", "b", "c", d="die")
    (folder / "same.mp4").write_text("ok a")
    first = scan(folder, out=postgres)
    assert [r["status"] for r in first] == ["ok", "ok", "ok", "error", "ok"]
    again = scan(folder, out=postgres)
    assert all(r["reused"] for r in again)
    with open_store(postgres) as store:
        assert store.count() == 4
        store.review(first[0]["result"], "confirm", author="ana")
        assert [r["author"] for r in store.reviews_of(first[0]["result"])] == ["ana"]
        assert len(list(store.rows_by_path())) == 4
        assert store.check_log() == len(list(store.log_entries())) >= 8
        assert store.find(first[0]["sha256"][:10]) == [first[0]["result"]]
        store.link([(first[0]["sha256"], first[1]["sha256"], 0.1)])
        assert [n["result"] for n in store.near_to(first[1]["result"])] == [first[0]["result"]]
        for table in ("results", "log", "reviews"):
            with pytest.raises(FacewitnessError, match="only ever added"):
                store.write(sa.text(f"delete from {table}"))
    with open_store(postgres, read_only=True) as store:
        _, rows = store.query("select status, count(*) from results group by status order by status")
        assert rows == [("error", 1), ("ok", 3)]
        with pytest.raises(UsageError, match="read-only"):
            store.query("delete from near returning one")
