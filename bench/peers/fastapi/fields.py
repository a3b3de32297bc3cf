"""Validates the body of a new task and the query of a list."""

import json
import re

import orjson

from ids import is_uuid
from problems import Problem
from shell import BODY_LIMIT

STATUSES = ("todo", "doing", "done")
MAX_TITLE, MAX_DESCRIPTION = 200, 10_000
# Cc, and the two separators that some displays take for a line's end.
control = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]").search
control_in_lines = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]").search
# Unicode's White_Space. Python's own `strip` takes four separators of ASCII for some as well.
SPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


async def body(receive):
    """Returns the body, or None if it is too long."""
    parts, length = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        length += len(part)
        if length > BODY_LIMIT:
            raise Problem("too-large")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def check_content_type(exchange):
    types = exchange.all(b"content-type")
    essence, *parameters = types[0].lower().split(b";") if len(types) == 1 else (b"",)
    charsets = (b"charset=utf-8", b'charset="utf-8"', b"")
    plain = essence.strip() == b"application/json" and all(p.strip() in charsets for p in parameters)
    if not plain or exchange.all(b"content-encoding"):
        raise Problem("unsupported-media-type")


def new_task(raw):
    """Returns title, description and assignee, or all their errors."""
    task = members(raw)
    wrong = [(f"/{pointer_token(name)}", "is not a known field") for name in task.keys() - CHECKS.keys()]
    for name, check in CHECKS.items():
        if detail := check(task.get(name), name in task):
            wrong.append((f"/{name}", detail))
    if wrong:
        raise Problem.fields(*wrong)
    return task["title"].strip(SPACE), task.get("description"), task.get("assigned_to")


def members(raw):
    if not raw:
        raise Problem("invalid-request", detail="the body is empty")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid-request", detail=f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem.fields(("", "must be an object"))
    # orjson keeps the last of two members with one name. The number of colons shows whether there can be two.
    if raw.count(b":") > len(value):
        json.loads(raw, object_pairs_hook=once)
    return value


def once(pairs):
    names = [name for name, _ in pairs]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise Problem.fields(*((f"/{pointer_token(name)}", "must not be given twice") for name in twice))
    return dict(pairs)


def pointer_token(name):
    return name.replace("~", "~0").replace("/", "~1")


def check_title(title, given):
    if not given:
        return "is required"
    if not isinstance(title, str):
        return "must be a string"
    if "\0" in title:
        return "must not hold the character U+0000"
    if control(title):
        return "must not hold control characters"
    if not 1 <= len(title.strip(SPACE)) <= MAX_TITLE:
        return f"must have 1 to {MAX_TITLE} characters"
    return None


def check_description(description, _given):
    if description is None:
        return None
    if not isinstance(description, str):
        return "must be a string"
    if "\0" in description:
        return "must not hold the character U+0000"
    if control_in_lines(description):
        return "must not hold control characters"
    if len(description) > MAX_DESCRIPTION:
        return f"must have 0 to {MAX_DESCRIPTION} characters"
    return None


def check_assignee(user, _given):
    if user is None:
        return None
    if not isinstance(user, str):
        return "must be a string"
    if not is_uuid(user):
        return "must be a hyphenated UUID"
    return None


CHECKS = {"title": check_title, "description": check_description, "assigned_to": check_assignee}


def single(query, name):
    values = query.getlist(name)
    if len(values) > 1:
        raise Problem.parameter(name, "may be given once")
    return values[0] if values else None


def status_of(query):
    status = single(query, "status")
    if status is not None and status not in STATUSES:
        raise Problem.parameter("status", "takes one of `todo`, `doing`, `done`")
    return status


def limit_of(query):
    limit = single(query, "limit")
    if limit is None:
        return 50
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 100):
        raise Problem.parameter("limit", "takes a number from 1 to 100")
    return int(limit)
