"""Whether W&B's server is there is found out once, and quickly."""

import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from helpers.project import TINY

from fer_lightning.loggers import mirrors


@pytest.fixture
def server():
    """Gives the URL of a server that answers with the status that its path names."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


@pytest.mark.parametrize("status, there", [(200, True), (404, True), (401, True), (502, False), (503, False)])
def test_any_answer_but_a_gateways_excuse_counts(server, status, there):
    assert mirrors._answers(f"{server}/{status}") == there


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid", "http://127.0.0.1:PORT"])
def test_a_server_that_is_silent_costs_a_moment(monkeypatch, url):
    """The last one takes the connection and says nothing."""
    monkeypatch.setattr(mirrors, "LONGEST_ANSWER_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert not mirrors._answers(url.replace("PORT", str(silent.getsockname()[1])))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_nobody_is_asked_where_the_user_has_decided(monkeypatch, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr(mirrors, "_answers", lambda url: pytest.fail("asked"))
    assert mirrors.wandb_mode() == mode


def test_a_sweep_asks_once_and_tells_its_jobs(command, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr(mirrors, "_answers", asked.append)
    done = command("-m", "seed=0,1", *TINY, "logger=wandb", "hydra.sweep.dir=s")
    assert done.code == 0 and len(asked) == 1 and done.text.count("W&B is out of reach") == 1, done.text
    assert os.environ["WANDB_MODE"] == "offline" and len(list(tmp_path.rglob("offline-run-*/run-*.wandb"))) == 2
    assert json.loads((tmp_path / "s" / "study.json").read_text())["jobs"]
