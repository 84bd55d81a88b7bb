"""The endpoint under gunicorn, which loads the app once and forks its workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import vapi_frames as vf
from tests.support.endpoint import KEY, Endpoint

pytestmark = [
    pytest.mark.extra("server"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
    pytest.mark.skipif(not (find_spec("gunicorn") and find_spec("uvicorn_worker")), reason="gunicorn is not installed"),
]
APP = f"""
import vapi_frames as vf
from vapi_frames.server import create_app

vq = vf.demo()
vq.call().count().by("type").during("2026-10").fetch()  # starts the database before the workers are forked
app = create_app(vq.source, key={KEY!r})
"""


@pytest.mark.long
def test_preloaded_workers_answer_and_end_normally(tmp_path):
    """Each worker starts a database of its own, and none crashes or hangs when the server stops."""
    (tmp_path / "served.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "served:app", "--preload", "--workers", "2",
               "--worker-class", "uvicorn_worker.UvicornWorker", "--bind", f"127.0.0.1:{port}",
               "--graceful-timeout", "20"]  # fmt: skip
    path = os.pathsep.join([str(tmp_path), str(Path(vf.__path__[0]).parent)])
    log = tmp_path / "log"
    with log.open("w") as output:
        environment = {**os.environ, "PYTHONPATH": path}
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path, env=environment)
        try:
            endpoint = Endpoint(port, KEY)
            body = vf.vq.call().count().by("type").during("2026-10").body()
            deadline = time.monotonic() + 60
            while True:
                try:
                    status, _, _ = endpoint.send(body)
                    break
                except OSError:
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.2)
            assert status == 201
            for _ in range(10):  # either worker may take a connection
                status, _, reply = endpoint.send(body)
                assert (status, len(reply[0]["result"])) == (201, 3)
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0, log.read_text()
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
    assert "SIGSEGV" not in log.read_text()
    assert "SIGKILL" not in log.read_text()
