"""Starts a FastAPI server with two routes of mt-server's. See ../README.md."""

import os
from tempfile import TemporaryDirectory

import uvicorn

import settings


def serve():
    uvicorn.run(
        "app:make", factory=True, host=settings.HOST, port=settings.PORT, workers=settings.WORKERS,
        loop="uvloop", http="httptools", access_log=False, log_level="warning", server_header=False,
        proxy_headers=False,
    )  # fmt: skip


if __name__ == "__main__":
    if settings.WORKERS == 1:
        serve()
    else:
        # Workers share their metrics in files of this folder.
        with TemporaryDirectory(prefix="peer-metrics.") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            serve()
