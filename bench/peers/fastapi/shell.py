"""The outermost handler: headers of every answer, log and metrics of every request.

Pure ASGI. Starlette's `BaseHTTPMiddleware` would give each request a task and a queue of its own.
"""

import asyncio
import os
import re
import traceback
from datetime import UTC, datetime
from random import getrandbits
from time import perf_counter

import orjson
from prometheus_client import Counter, Histogram

from ids import uuid7
from problems import Problem

BODY_LIMIT = 64 * 1024
HARDENED = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
acceptable = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch
traced = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
escaped = re.compile(rb"%|//|/\.{0,2}(/|$)").search

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REQUESTS = Counter("mt_http_requests", "Requests that were answered", ["method", "route", "status"])
DURATIONS = Histogram(
    "mt_http_request_duration_seconds", "From the head of a request to its answer", ["method", "route"], buckets=BUCKETS
)
PROBLEMS = Counter("mt_http_problems", "Answers that were problems", ["code"])


class Exchange:
    """Handles one request."""

    __slots__ = ("headers", "request_id", "trace_id", "caller", "org", "fields", "code")

    def __init__(self, scope):
        self.headers = scope["headers"]
        given = self.all(b"x-request-id")
        self.request_id = given[0].decode() if len(given) == 1 and acceptable(given[0]) else uuid7()
        parent = self.all(b"traceparent")
        remote = len(parent) == 1 and traced(parent[0])
        self.trace_id = remote[1].decode() if remote else f"{getrandbits(128):032x}"
        self.caller = self.org = self.code = None
        # Headers for whatever answer it will be, a refusal included.
        self.fields = ()

    def all(self, name):
        return [value for held, value in self.headers if held == name]


class Log:
    """Log lines for stderr, written together every few milliseconds."""

    def __init__(self):
        self.lines = []

    def write(self, line):
        if not self.lines:
            asyncio.get_running_loop().call_later(0.01, self.flush)
        self.lines.append(line)

    def flush(self):
        lines, self.lines = b"".join(self.lines), []
        while lines:
            lines = lines[os.write(2, lines) :]


class Shell:
    def __init__(self, app, templates):
        self.app, self.templates, self.log = app, templates, Log()
        # `labels()` takes a lock and a lookup, so the few children are kept here.
        self.counters, self.durations = {}, {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = perf_counter()
        exchange = scope["exchange"] = Exchange(scope)
        status = None

        async def hardened(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                ours = [*exchange.fields, *HARDENED, (b"x-request-id", exchange.request_id.encode())]
                if status == 413:
                    # The rest of the body is not read, so the connection has to close.
                    ours.append((b"connection", b"close"))
                message["headers"] = [*message["headers"], *ours]
            elif scope["method"] == "HEAD":
                message["body"] = b""
            await send(message)

        try:
            check_head(scope, exchange)
            await self.app(scope, receive, hardened)
        except Problem as problem:
            await answer(problem, scope, receive, hardened)
        except Exception as error:
            self.log.write(trouble(error, exchange))
            if status is None:
                await answer(Problem("internal"), scope, receive, hardened)
        finally:
            self.tell(scope, exchange, status or 500, perf_counter() - began)

    def tell(self, scope, exchange, status, took):
        method, template = scope["method"], self.templates.get(scope.get("endpoint"), "none")
        label = f"{status // 100}xx"
        counter = self.counters.get((method, template, label))
        if counter is None:
            counter = self.counters[method, template, label] = REQUESTS.labels(method, template, label)
            self.durations[method, template] = DURATIONS.labels(method, template)
        counter.inc()
        self.durations[method, template].observe(took)
        span = {
            "method": method, "path": scope["path"], "principal.id": exchange.caller, "tenant.id": exchange.org,
            "request_id": exchange.request_id, "route": template, "status": status, "trace_id": exchange.trace_id,
            "span_id": f"{getrandbits(64):016x}", "name": "request",
        }  # fmt: skip
        if exchange.code:
            PROBLEMS.labels(exchange.code).inc()
            span["problem.code"] = exchange.code
        line = {
            "timestamp": datetime.now(UTC), "level": "INFO", "message": "answered", "took_ms": took * 1000,
            "target": "peer.shell", "span": span,
        }  # fmt: skip
        self.log.write(orjson.dumps(line, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


def trouble(error, exchange):
    where = "".join(traceback.format_exception(error))
    line = {"timestamp": datetime.now(UTC), "level": "ERROR", "message": repr(error), "cause": where}
    return orjson.dumps(line | {"request_id": exchange.request_id}, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def check_head(scope, exchange):
    length = exchange.all(b"content-length")
    if length and length[0].isdigit() and int(length[0]) > BODY_LIMIT:
        raise Problem("too-large")
    # A path has one normal form.
    if scope["raw_path"] != b"/" and escaped(scope["raw_path"].partition(b"?")[0]):
        raise Problem("not-found")


async def answer(problem, scope, receive, send):
    exchange = scope["exchange"]
    exchange.code = problem.code
    await problem.answer(exchange.request_id)(scope, receive, send)
