"""The OpenAPI schema is true: whatever is sent, the answers are those it announces."""

import contextlib
import threading
import time

import pytest
import uvicorn

from facewitness.detector.engine import Budget
from facewitness.detector.engine.http import HttpSettings, make_app
from facewitness.detector.engine.service import ServiceSettings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@contextlib.contextmanager
def served(app):
    """The application behind a real server."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def test_schemathesis_finds_no_answer_that_the_schema_does_not_announce(tmp_path, scanner):
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    service = ServiceSettings(out=tmp_path / "out", scanner=scanner, workers=1, budget=Budget(base_s=2), queue=5)
    (tmp_path / "root").mkdir()
    app = make_app(
        HttpSettings(
            service=service,
            tokens=("secret",),
            root=tmp_path / "root",
            upload_bytes=1000,
            requests_per_minute=1_000_000,
        )
    )
    with served(app) as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations = [r.ok() for r in schema.get_all_operations() if "/events" not in r.ok().path]
        assert len(operations) == 7
        for operation in operations:
            probed(operation, settings, given, st, list(Phase)[:3], list(HealthCheck))


def probed(operation, settings, given, st, phases, checks):
    """Send what the schema allows and what it does not; compare every answer with it."""

    from schemathesis import GenerationMode
    from schemathesis.checks import negative_data_rejection

    # the parts of a multipart body are bytes and carry no type, so there a number is as good a file as any
    untyped = [negative_data_rejection] if (operation.method, operation.path) == ("post", "/v1/scans") else []

    @settings(
        max_examples=25, deadline=None, database=None, derandomize=True, phases=phases, suppress_health_check=checks
    )
    @given(data=st.data())
    def probe(data):
        case = data.draw(operation.as_strategy(generation_mode=data.draw(st.sampled_from(list(GenerationMode)))))
        case.call_and_validate(headers={"Authorization": "Bearer secret"}, timeout=120, excluded_checks=untyped)

    probe()
