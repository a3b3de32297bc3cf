"""The application: routes and the shell around them."""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.exceptions import HTTPException

from problems import JSON, Answer, Problem
from shell import Shell
from tasks import Tasks

TASKS = "/orgs/{org_id}/projects/{project_id}/tasks"


async def health(_request):
    return Answer(200, b'{"status":"ok"}', JSON)


async def metrics(_request):
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    return Answer(200, generate_latest(registry), (b"content-type", CONTENT_TYPE_LATEST.encode()))


async def refused(request, problem):
    # Starlette sends what a handler returns.
    request.scope["exchange"].code = problem.code
    return problem.answer(request.scope["exchange"].request_id)


async def failed(request, _error):
    return await refused(request, Problem("internal"))


async def refused_by_framework(request, error):
    return await refused(request, Problem.of_status(error.status_code, error.headers or {}))


def make():
    tasks = Tasks()

    @asynccontextmanager
    async def lifespan(_app):
        await tasks.start()
        yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(Problem, refused)
    app.add_exception_handler(HTTPException, refused_by_framework)
    app.add_exception_handler(Exception, failed)
    # Plain routes: FastAPI's dependencies and models would only add work here.
    routes = {TASKS: (tasks.serve, ["GET", "POST"]), "/health": (health, ["GET"]), "/metrics": (metrics, ["GET"])}
    for path, (handler, methods) in routes.items():
        app.add_route(path, handler, methods=methods)
    return Shell(app, {handler: path for path, (handler, _) in routes.items()})
