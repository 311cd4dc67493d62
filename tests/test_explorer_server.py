"""The page is served on this machine alone, under a secret address; and the command's mistakes."""

from __future__ import annotations

import socket

import pytest
from commands import refusal
from tiny_models import TinyModels, call

from fairseq_neuron_plugin.cli import explore
from fairseq_neuron_plugin.errors import UserError
from fairseq_neuron_plugin.explorer.server import HOST, build_app, new_token, open_socket


@pytest.fixture(scope="module")
def client():
    gradio = pytest.importorskip("gradio")
    from starlette.testclient import TestClient

    with gradio.Blocks(analytics_enabled=False) as page:
        gradio.Markdown("neurons")
    with TestClient(build_app(page, "secret", 7000), base_url=f"http://{HOST}:7000") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/secret/", f"{HOST}:7000", 200),
        ("/secret/", "localhost:7000", 200),
        ("/secret/", "evil.example", 400),
        ("/secret/", f"{HOST}.evil.example", 400),
        ("/", f"{HOST}:7000", 404),
        ("/other/", f"{HOST}:7000", 404),
        ("/config", f"{HOST}:7000", 404),
        ("/gradio_api/info", f"{HOST}:7000", 404),
        ("/docs", f"{HOST}:7000", 404),
        ("/openapi.json", f"{HOST}:7000", 404),
    ],
)
def test_only_the_secret_address_answers(client, path: str, host: str, status: int) -> None:
    assert client.get(path, headers={"host": host}).status_code == status


def test_tokens_differ_and_are_long() -> None:
    assert len({new_token() for _ in range(100)}) == 100
    assert all(len(new_token()) >= 20 for _ in range(10))


def test_the_socket_is_of_this_machine() -> None:
    with open_socket(0) as listening:
        address, port = listening.getsockname()
        assert address == "127.0.0.1"
        listening.listen()
        with socket.create_connection((address, port), timeout=5):
            pass
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            open_socket(port)
    with pytest.raises(UserError, match="0 to 65535"):
        open_socket(70000)


def test_folders_stand_before_flags_of_fairseq(capsys) -> None:
    line = refusal(explore.main, capsys, "--path", "a.pt", "--beam", "5", "data-bin")
    assert "DATA is missing" in line


def test_without_gradio(capsys, monkeypatch) -> None:
    monkeypatch.setattr(explore, "find_spec", lambda name: None)
    assert "[explore]" in refusal(explore.main, capsys, "data-bin", "--path", "a.pt")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("acts", "DATA", "--path", "CKPT"), "acts"),
        (("DATA", "--path", "nowhere.pt"), "not found: nowhere.pt"),
        (("DATA", "--path", "CKPT", "--ranking", "nowhere.json"), "ranking not found"),
    ],
)
def test_refusals(tiny: TinyModels, given, message: str) -> None:
    pytest.importorskip("gradio")
    known = {"DATA": tiny.data, "CKPT": tiny.stock}
    refused = call("fairseq-neuron-explore", *(known.get(part, part) for part in given))
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
