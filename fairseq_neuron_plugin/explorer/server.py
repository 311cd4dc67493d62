"""Serve the page on this machine alone, under an address that nobody can guess."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import suppress
from typing import Any

from ..errors import UserError

HOST = "127.0.0.1"


def build_app(page: Any, token: str, port: int) -> Any:
    """A web application with the page under ``/TOKEN/`` and nothing anywhere else.

    A request with another ``Host`` is refused: a site elsewhere cannot reach the page by a name
    that it lets point here.

    Args:
        page: Gradio's ``Blocks``.
        token: of the address.
        port: that it is served on.
    """
    import gradio as gr
    from fastapi import FastAPI, Response
    from fastapi.responses import JSONResponse
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from .page import CSS

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    # Browsers ask for these at the root; they say nothing.
    app.get("/manifest.json")(lambda: JSONResponse({"name": "Neurons"}))
    app.get("/favicon.ico")(lambda: Response(status_code=204))
    page.queue(default_concurrency_limit=1, api_open=False)
    return gr.mount_gradio_app(
        app,
        page,
        path=f"/{token}",
        server_name=HOST,
        server_port=port,
        footer_links=[],
        theme=gr.themes.Base(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        ),
        css=CSS,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
    )


def open_socket(port: int) -> socket.socket:
    """A socket of this machine alone.

    Args:
        port: 0 for any that is free.

    Raises:
        UserError: the port is taken, or no port.
    """
    if not 0 <= port < 65536:
        raise UserError(f"--port must be 0 to 65535, not {port}")
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise UserError(
            f"port {port} cannot be used: {error.strerror}; try another --port"
        ) from error
    return found


def new_token() -> str:
    """What cannot be guessed, 128 bits, fit for an address."""
    return secrets.token_urlsafe(16)


def prepare_gradio(folder: str) -> None:
    """Before Gradio is imported: it is not to call anybody, and to leave no files behind.

    Args:
        folder: for its files, removed with the page.
    """
    for name, value in {
        "GRADIO_TEMP_DIR": folder,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
    }.items():
        os.environ[name] = value


def serve(app: Any, listening: socket.socket) -> None:
    """Until the process is interrupted, which is how it is meant to end."""
    import uvicorn

    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
        uvicorn.Server(config).run(sockets=[listening])
