#!/usr/bin/env python3
"""Whether servers answer alike on the two routes that the benchmark compares.

    behaviour.py --setup http://localhost:8000 --check http://localhost:8000 http://localhost:8001

Makes orgs, users and members through the API of the server at --setup, which is an mt-server in dev or test,
and then holds every server at --check to the same expectations. All of them stand on the same database.
Ends with 1 if there is a difference, and names each. Nothing but the standard library is needed.

From the environment, as the servers have them:

    ADMIN_TOKEN             default dev-admin
    STRIPE_WEBHOOK_SECRET   if set, events are signed with it
    JWT_SECRET              if set, tokens that no server has issued are tried too
"""

import argparse
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import sys
import time
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import urlsplit

ADMIN_TOKEN = os.environ.get("ADMIN_TOKEN", "dev-admin")
WEBHOOK_SECRET = os.environ.get("STRIPE_WEBHOOK_SECRET", "")
JWT_SECRET = os.environ.get("JWT_SECRET", "")
UNKNOWN_ID = "01890000-0000-7000-8000-000000000000"
TASK_KEYS = [
    "id", "org_id", "project_id", "title", "description", "status", "created_by", "assigned_to", "created_at",
    "updated_at",
]  # fmt: skip
TASKS_CAP = 100
# A quota that is larger than this is not used up.
SMALL_QUOTA = 300


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def __getitem__(self, name):
        return self.fields.get(name)

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Sends requests to one server, each on a connection of its own."""

    def __init__(self, url):
        self.url, self.at = url, urlsplit(url)

    def send(self, method, path, token=None, body=None, together=None, **fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and "content_type" not in fields:
            headers["content-type"] = "application/json"
        connection = http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=30)
        try:
            if together:
                # Connected first, so that nothing but the request itself is left to do.
                connection.connect()
                together.wait()
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def must(self, status, *request, **fields):
        answer = self.send(*request, **fields)
        if answer.status != status:
            sys.exit(f"setting up: {request[:2]}: {answer.status} and not {status}: {answer.body.decode()}")
        return answer.json if answer.body else None


class User:
    def __init__(self, setup):
        self.email = f"{uuid.uuid4().hex}@example.org"
        link = setup.must(202, "POST", "/auth/request-link", None, {"email": self.email})
        redeemed = setup.must(200, "POST", "/auth/redeem", None, {"token": link["token"]})
        self.token = redeemed["access_token"]
        self.id = setup.must(200, "GET", "/me", self.token)["id"]


class Org:
    """An org of `owner` with a project in it."""

    def __init__(self, setup, owner, pro=False):
        self.setup, self.owner, self.said_by_stripe = setup, owner, 0
        self.id = setup.must(201, "POST", "/orgs", owner.token, {"name": "Compared"})["id"]
        if pro:
            page = setup.must(201, "POST", f"/orgs/{self.id}/billing/checkout", owner.token)
            self.session = page["session_id"]
            setup.must(200, "POST", f"/dev/checkout/{self.session}")
        self.project = self.new_project()
        self.tasks = self.tasks_of(self.project)

    def new_project(self):
        return self.setup.must(201, "POST", f"/orgs/{self.id}/projects", self.owner.token, {"name": "P"})["id"]

    def tasks_of(self, project):
        return f"/orgs/{self.id}/projects/{project}/tasks"

    def add(self, user, role="member"):
        body = {"email": user.email, "role": role}
        invite = self.setup.must(201, "POST", f"/orgs/{self.id}/invites", self.owner.token, body)
        self.setup.must(200, "POST", "/invites/accept", user.token, {"token": invite["token"]})

    def remove(self, user):
        self.setup.must(204, "DELETE", f"/orgs/{self.id}/members/{user.id}", self.owner.token)

    def suspend(self, mode):
        self.setup.must(200, "POST", f"/admin/orgs/{self.id}/suspension", ADMIN_TOKEN, {"mode": mode})

    def subscription(self, status, price="price_pro"):
        """Has Stripe say that the subscription, bought in a simulated checkout, is in another state."""
        customer = self.setup.must(200, "POST", f"/orgs/{self.id}/billing/customer", self.owner.token)["customer_id"]
        now = int(time.time())
        # Of two events of one subscription the later one counts, and time is told in seconds.
        self.said_by_stripe += 1
        created = now + self.said_by_stripe
        item = {"price": {"id": price, "object": "price"}, "quantity": 1,
                "current_period_start": now, "current_period_end": now + 2_592_000}  # fmt: skip
        subscription = {"id": self.session.replace("cs_", "sub_", 1), "object": "subscription",
                        "customer": customer, "status": status, "created": now, "cancel_at_period_end": False,
                        "items": {"object": "list", "has_more": False, "data": [item]}}  # fmt: skip
        event = {"id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": "customer.subscription.updated",
                 "created": created, "livemode": False, "pending_webhooks": 1,
                 "data": {"object": subscription}}  # fmt: skip
        text = json.dumps(event).encode()
        signature = hmac.new(WEBHOOK_SECRET.encode(), b"%d." % now + text, "sha256").hexdigest()
        signed = f"t={now},v1={signature}" if WEBHOOK_SECRET else None
        self.setup.must(200, "POST", "/webhooks/stripe", None, text, stripe_signature=signed)
        free = price != "price_pro" or status == "canceled"
        for _ in range(100):
            billing = self.setup.must(200, "GET", f"/orgs/{self.id}/billing", self.owner.token)
            if (billing["subscription_status"], billing["plan"]) == (status, "free" if free else "pro"):
                return
            time.sleep(0.1)
        sys.exit(f"setting up: the subscription does not become {status}")


def token_of(user, key=JWT_SECRET, head=None, **claims):
    """A token that no server has issued."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")  # noqa: E731
    now = int(time.time())
    told = {"sub": user.id, "iss": "mt", "aud": "mt", "iat": now, "exp": now + 600, "jti": "x", "ver": 0} | claims
    signed = part({"alg": "HS256", "typ": "JWT"} | (head or {})) + b"." + part(told)
    seal = base64.urlsafe_b64encode(hmac.digest(key.encode(), signed, "sha256")).rstrip(b"=")
    return (signed + b"." + seal).decode()


class Checks:
    """What is expected of one server. Every method that begins with `check_` is one thing, by its name."""

    def __init__(self, setup, server, users):
        self.setup, self.server = setup, server
        self.owner, self.member, self.stranger = users
        self.org = Org(setup, self.owner, pro=True)
        self.org.add(self.member)
        self.differences = []

    def run(self):
        names = [name for name in dir(self) if name.startswith("check_")]
        for name in names:
            self.about = name.removeprefix("check_").replace("_", " ")
            try:
                getattr(self, name)()
            except Exception as error:  # An answer that cannot be read is a difference like others.
                where = traceback.extract_tb(error.__traceback__)[1].lineno
                self.differ(f"{type(error).__name__} in line {where}: {error}")
        return len(names)

    def differ(self, what):
        self.differences.append(f"{self.about}: {what}")

    def same(self, what, got, wanted):
        if got != wanted:
            self.differ(f"{what} is {got!r} and not {wanted!r}")

    def matches(self, what, got, pattern):
        if not re.fullmatch(pattern, got or ""):
            self.differ(f"{what} is {got!r} and not like {pattern}")

    # Requests to the server that is checked.

    def list(self, user, query="", org=None, project=None, **fields):
        org = org or self.org
        token = user.token if isinstance(user, User) else user
        return self.server.send("GET", org.tasks_of(project or org.project) + query, token, **fields)

    def create(self, user, body, org=None, project=None, **fields):
        org = org or self.org
        token = user.token if isinstance(user, User) else user
        return self.server.send("POST", org.tasks_of(project or org.project), token, body, **fields)

    # What is true of answers.

    def hardened(self, answer):
        for name, value in {
            "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'", "server": None,
        }.items():  # fmt: skip
            self.same(name, answer[name], value)
        self.matches("x-request-id", answer["x-request-id"], r"[0-9a-f-]{36}")

    def problem(self, answer, status, code, *pointers, what="", **members):
        what = f"of {what} " if what else ""
        self.same(f"{what}the status", answer.status, status)
        self.same(f"{what}the content type", answer["content-type"], "application/problem+json")
        self.hardened(answer)
        document = answer.json
        self.same(f"{what}type", document.get("type"), f"/problems/{code}")
        for name, value in {"code": code, "status": status, "request_id": answer["x-request-id"], **members}.items():
            self.same(f"{what}{name}", document.get(name), value)
        got = sorted((error["pointer"], error["detail"]) for error in document.get("errors", []))
        self.same(f"{what}errors", got, sorted(pointers))
        return document

    # Listing

    def check_list_of_nothing(self):
        answer = self.list(self.owner, project=self.org.new_project())
        self.same("the status", answer.status, 200)
        self.same("the body", answer.json, {"items": [], "next_cursor": None})
        self.same("the content type", answer["content-type"], "application/json; charset=utf-8")
        self.hardened(answer)

    def check_walk_over_all_pages(self):
        project, made = self.org.new_project(), []
        for number in range(57):
            # Half of them through either server: an order by ids holds across both.
            client = self.setup if number % 2 else self.server
            answer = client.send("POST", self.org.tasks_of(project), self.member.token, {"title": f"T{number}"})
            made.append(answer.json["id"])
        self.same("as many on the default page", len(self.list(self.owner, project=project).json["items"]), 50)
        for limit in (1, 10, 57, 100):
            walked, query = [], f"?limit={limit}"
            while query:
                page = self.list(self.owner, query, project=project).json
                walked += [task["id"] for task in page["items"]]
                self.same("keys of a page", list(page), ["items", "next_cursor"])
                query = page["next_cursor"] and f"?limit={limit}&cursor={page['next_cursor']}"
                if len(walked) > len(made):
                    break
            self.same(f"the walk by {limit}", walked, sorted(made, reverse=True))

    def check_filter_by_status(self):
        project, made = self.org.new_project(), []
        for status in ("todo", "doing", "done", "todo"):
            task = self.create(self.owner, {"title": status}, project=project).json["id"]
            self.setup.must(200, "PATCH", f"/orgs/{self.org.id}/tasks/{task}", self.owner.token, {"status": status})
            made.append((task, status))
        for asked in ("todo", "doing", "done"):
            items = self.list(self.owner, f"?status={asked}", project=project).json["items"]
            wanted = [task for task, status in reversed(made) if status == asked]
            self.same(asked, [item["id"] for item in items], wanted)
            self.same("its words", {item["status"] for item in items}, {asked})

    def check_cursor_is_of_one_list(self):
        for _ in range(2):
            self.create(self.owner, {"title": "paged"})
        cursor = self.list(self.owner, "?limit=1").json["next_cursor"]
        wrong = ("?cursor", "takes the `next_cursor` of this very list")
        bad = {"of another status": f"?status=todo&cursor={cursor}", "changed": f"?cursor={cursor[:-4]}AAAA",
               "made up": "?cursor=x", "empty": "?cursor=", "long": "?cursor=" + "A" * 500}  # fmt: skip
        for what, query in bad.items():
            self.problem(self.list(self.owner, query), 400, "invalid-request", wrong, what=what)
        elsewhere = self.list(self.owner, f"?cursor={cursor}", project=self.org.new_project())
        self.problem(elsewhere, 400, "invalid-request", wrong, what="of another project")

    def check_bad_query_values(self):
        wrong = ("?limit", "takes a number from 1 to 100")
        for limit in ("0", "101", "-1", "%2B5", "1.0", "x", "", "%D9%A1"):
            self.problem(self.list(self.owner, f"?limit={limit}"), 400, "invalid-request", wrong, what=limit)
        twice = ("?limit", "may be given once")
        self.problem(self.list(self.owner, "?limit=1&limit=1"), 400, "invalid-request", twice)
        words = ("?status", "takes one of `todo`, `doing`, `done`")
        self.problem(self.list(self.owner, "?status=open"), 400, "invalid-request", words)
        self.same("unknown parameters", self.list(self.owner, "?x=1&limit=007").status, 200)

    # Creating

    def check_create(self):
        before = time.time()
        body = {"title": " Étude \U0001f600 ", "description": "a\n\tb", "assigned_to": self.member.id.upper()}
        answer = self.create(self.member, body, x_request_id=f"behaviour-{self.server.at.port}")
        task = answer.json
        self.same("the status", answer.status, 201)
        self.same("keys", list(task), TASK_KEYS)
        wanted = {"org_id": self.org.id, "project_id": self.org.project, "title": "Étude \U0001f600",
                  "description": "a\n\tb", "status": "todo", "created_by": self.member.id,
                  "assigned_to": self.member.id, "updated_at": task["created_at"]}  # fmt: skip
        for name, value in wanted.items():
            self.same(name, task[name], value)
        self.matches("created_at", task["created_at"], r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
        self.same("the version of the id", uuid.UUID(task["id"]).version, 7)
        self.same("the id's time", abs((uuid.UUID(task["id"]).int >> 80) / 1000 - before) < 60, True)
        self.same("location", answer["location"], f"/orgs/{self.org.id}/tasks/{task['id']}")
        self.matches("etag", answer["etag"], r'"[A-Za-z0-9_-]{22}"')
        digest = base64.urlsafe_b64encode(hashlib.sha256(answer.body).digest()[:16]).rstrip(b"=").decode()
        self.same("etag", answer["etag"], f'"{digest}"')
        self.same("x-request-id", answer["x-request-id"], f"behaviour-{self.server.at.port}")
        same_time = lambda shown: dict(shown, created_at=None, updated_at=None)  # noqa: E731
        shown = self.setup.must(200, "GET", answer["location"], self.owner.token)
        self.same("what it is elsewhere", same_time(shown), same_time(task))
        self.same("what the list shows", self.list(self.owner, "?limit=1").json["items"], [task])

    def check_create_is_recorded(self):
        def entry_after(client):
            sent = {"token": self.member.token, "body": {"title": "x"}, "x_request_id": "behaviour-recorded"}
            task = client.must(201, "POST", self.org.tasks, **sent)["id"]
            entry = self.setup.must(200, "GET", f"/orgs/{self.org.id}/audit?limit=1", self.owner.token)["items"][0]
            self.same("its target", entry["target"]["id"], task)
            # What differs by its nature.
            return json.dumps(entry | {"id": None, "at": None}).replace(task, "")

        self.same("the entry", entry_after(self.server), entry_after(self.setup))

    def check_refused_leaves_nothing(self):
        newest = self.setup.must(200, "GET", f"/orgs/{self.org.id}/audit?limit=1", self.owner.token)["items"]
        self.create(self.owner, {"title": ""})
        self.create(self.owner, {"title": "x", "assigned_to": self.stranger.id})
        self.create(self.owner, {"title": "x"}, project=UNKNOWN_ID)
        after = self.setup.must(200, "GET", f"/orgs/{self.org.id}/audit?limit=1", self.owner.token)["items"]
        self.same("the log", after, newest)

    def check_nulls_and_longest(self):
        body = {"title": "é" * 200, "description": None, "assigned_to": None}
        task = self.create(self.owner, body).json
        self.same("nulls", (task["title"], task["description"], task["assigned_to"]), ("é" * 200, None, None))
        body = {"title": "'; drop table app.tasks; --\\", "description": "{x} %s '$1' \\ " + "x" * 9_900}
        task = self.create(self.owner, body).json
        self.same("quotes", (task["title"], task["description"]), (body["title"], body["description"]))

    def check_fields(self):
        length, text = "must have 1 to 200 characters", "must be a string"
        control = "must not hold control characters"
        cases = [
            ({}, ("/title", "is required")),
            ({"title": ""}, ("/title", length)),
            ({"title": " \u00a0 "}, ("/title", length)),
            ({"title": "x" * 201}, ("/title", length)),
            ({"title": "a\nb"}, ("/title", control)),
            ({"title": "a\u2028b"}, ("/title", control)),
            ({"title": "a\0"}, ("/title", "must not hold the character U+0000")),
            ({"title": 5}, ("/title", text)),
            ({"title": None}, ("/title", text)),
            ({"title": "x", "description": 5}, ("/description", text)),
            ({"title": "x", "description": "x" * 10_001}, ("/description", "must have 0 to 10000 characters")),
            ({"title": "x", "description": "a\x0b"}, ("/description", control)),
            ({"title": "x", "assigned_to": "unknown"}, ("/assigned_to", "must be a hyphenated UUID")),
            ({"title": "x", "assigned_to": UNKNOWN_ID}, ("/assigned_to", "must be a member of the org")),
            ({"title": "x", "assigned_to": self.stranger.id}, ("/assigned_to", "must be a member of the org")),
            ({"title": "x", "sort/ed": 1}, ("/sort~1ed", "is not a known field")),
            ({"title": "", "assigned_to": "x", "status": "done"},
             ("/title", length), ("/assigned_to", "must be a hyphenated UUID"), ("/status", "is not a known field")),
            ([], ("", "must be an object")),
            (b'{"title":"x","title":"y"}', ("/title", "must not be given twice")),
        ]  # fmt: skip
        for body, *wrong in cases:
            self.problem(self.create(self.owner, body), 422, "invalid-fields", *wrong, what=str(body)[:60])

    def check_invalid_json(self):
        for body in (b"", b"{", b"{}x", b'{"title":"\xff"}', b'{"title":"\\ud800"}', b"{'title':1}", b"[NaN]"):
            document = self.create(self.owner, body).json
            self.same(f"the code for {body}", (document["status"], document["code"]), (400, "invalid-request"))

    def check_content_types(self):
        for content_type in ("text/plain", "application/jsonp", "application/json; charset=latin1", None):
            answer = self.create(self.owner, b'{"title":"x"}', content_type=content_type)
            self.problem(answer, 415, "unsupported-media-type", what=str(content_type))
        encoded = self.create(self.owner, {"title": "x"}, content_encoding="identity")
        self.problem(encoded, 415, "unsupported-media-type", what="encoded")
        for content_type in ("Application/JSON", 'application/json;charset="UTF-8"', "application/json;"):
            answer = self.create(self.owner, b'{"title":"x"}', content_type=content_type)
            self.same(f"the status for {content_type}", answer.status, 201)

    def check_too_large(self):
        self.problem(self.create(self.owner, b" " * 65_537), 413, "too-large")
        document = self.create(self.owner, b" " * 65_530 + b"{}").json
        self.same("of as much as fits the code", document["code"], "invalid-fields")

    # Who may

    def check_without_a_good_token(self):
        bare, invalid = "Bearer", 'Bearer error="invalid_token"'
        good = self.owner.token
        cases = {
            "none": (None, bare), "another scheme": ("Basic eDp5", bare), "no token": ("Bearer", invalid),
            "no JWT": ("Bearer abc", invalid), "another signature": (f"Bearer {good[:-4]}AAAA", invalid),
            "two": (f"Bearer {good}, Bearer {good}", invalid),
        }  # fmt: skip
        if JWT_SECRET:
            now, forged = int(time.time()), lambda **claims: f"Bearer {token_of(self.owner, **claims)}"
            self.same("the status for one of our own", self.list(token_of(self.owner)).status, 200)
            self.same("the status within the leeway", self.list(token_of(self.owner, exp=now - 3)).status, 200)
            cases |= {
                "another key": (forged(key="x" * 40), invalid), "expired": (forged(exp=now - 60), invalid),
                "of another audience": (forged(aud="x"), invalid), "of another issuer": (forged(iss="x"), invalid),
                "not valid yet": (forged(nbf=now + 60), invalid), "of another generation": (forged(ver=7), invalid),
                "of an unknown user": (forged(sub=UNKNOWN_ID), invalid), "with a key's id": (forged(head={"kid": "x"}), invalid),
                "without a signature": (forged(head={"alg": "none"}), invalid),
                "without an end": (forged(exp=None), invalid),
            }  # fmt: skip
        for what, (authorization, challenge) in cases.items():
            for method, body in (("GET", None), ("POST", b"no JSON")):
                answer = self.server.send(method, self.org.tasks, None, body, authorization=authorization)
                self.problem(answer, 401, "unauthenticated", what=what)
                self.same(f"of {what} the challenge", answer["www-authenticate"], challenge)
        lower = self.server.send("GET", self.org.tasks, None, authorization=f"bearer  {good}")
        self.same("the status for a scheme in lower case", lower.status, 200)

    def check_stranger_sees_nothing(self):
        """A stranger, an org that is not there and one that cannot be: the same bytes but for the id."""

        def bytes_of(answer):
            self.problem(answer, 404, "not-found")
            self.same("the quota", answer["ratelimit"], None)
            return answer.body.replace(answer["x-request-id"].encode(), b"")

        absent, no_id = f"/orgs/{UNKNOWN_ID}/projects/{UNKNOWN_ID}/tasks", "/orgs/x/projects/x/tasks"
        seen = set()
        for path in (self.org.tasks, absent, no_id):
            seen.add(bytes_of(self.server.send("GET", path + "?limit=0", self.stranger.token)))
            seen.add(bytes_of(self.server.send("POST", path, self.stranger.token, b"{", content_type="text/plain")))
        self.same("how many answers", len(seen), 1)

    def check_absent_project(self):
        other = Org(self.setup, self.owner).project
        for project in (UNKNOWN_ID, other, "x", f"{UNKNOWN_ID}0"):
            self.problem(self.list(self.owner, project=project), 404, "not-found", what=project)
            self.problem(self.create(self.owner, {"title": "x"}, project=project), 404, "not-found", what=project)
            # What is wrong with a body is said before what it is for is looked for.
            wrong = self.create(self.owner, {"title": ""}, project=project)
            self.same("the status for a bad body", wrong.status, 422)
        self.same("capital letters", self.list(self.owner, project=self.org.project.upper()).status, 200)

    def check_removed_at_the_next_request(self):
        self.same("before", self.list(self.member).status, 200)
        self.org.remove(self.member)
        self.problem(self.list(self.member), 404, "not-found", what="the list")
        self.problem(self.create(self.member, {"title": "x"}), 404, "not-found", what="the create")
        self.org.add(self.member, "admin")
        self.same("back again", self.create(self.member, {"title": "x"}).status, 201)
        path = f"/orgs/{self.org.id}/members/{self.member.id}"
        self.setup.must(200, "PATCH", path, self.owner.token, {"role": "member"})
        self.same("demoted", self.create(self.member, {"title": "x"}).status, 201)

    def check_signed_out_at_the_next_request(self):
        user = User(self.setup)
        self.org.add(user)
        self.same("before", self.list(user).status, 200)
        self.setup.must(204, "POST", "/auth/logout", user.token)
        for answer in (self.list(user), self.create(user, b"{")):
            self.problem(answer, 401, "unauthenticated")
            self.same("the challenge", answer["www-authenticate"], 'Bearer error="invalid_token"')

    def check_suspension(self):
        org = Org(self.setup, self.owner)
        org.suspend("read_only")
        self.same("read-only: the list", self.list(self.owner, org=org).status, 200)
        self.problem(self.create(self.owner, b"{", org=org), 403, "org-suspended", what="read-only")
        org.suspend("full")
        self.problem(self.list(self.owner, org=org), 403, "org-suspended", what="full")
        self.problem(self.create(self.owner, b"{", org=org), 403, "org-suspended", what="full")
        self.problem(self.list(self.stranger, org=org), 404, "not-found", what="a stranger")
        org.suspend("none")
        self.same("over: the create", self.create(self.owner, {"title": "x"}, org=org).status, 201)

    def check_billing(self):
        org = Org(self.setup, self.owner, pro=True)
        for status in ("past_due", "active", "unpaid", "trialing", "canceled"):
            org.subscription(status)
            self.same(f"{status}: the list", self.list(self.owner, org=org).status, 200)
            if status in ("active", "trialing"):
                self.same(f"{status}: the create", self.create(self.owner, {"title": "x"}, org=org).status, 201)
            else:
                self.problem(self.create(self.owner, b"{", org=org), 402, "billing-required", what=status)

    def check_cap_under_concurrency(self):
        org = Org(self.setup, self.owner)
        for _ in range(TASKS_CAP - 1):
            self.setup.must(201, "POST", org.tasks, self.owner.token, {"title": "x"})
        detail, together = f"the plan allows at most {TASKS_CAP} tasks", Barrier(8)
        # A race is not lost each time.
        for _ in range(5):
            with ThreadPoolExecutor(8) as pool:
                race = lambda _: self.create(self.owner, {"title": "last"}, org=org, together=together)  # noqa: E731
                answers = list(pool.map(race, range(8)))
            self.same("statuses", sorted(answer.status for answer in answers), [201] + [402] * 7)
            for refused in (answer for answer in answers if answer.status == 402):
                self.problem(refused, 402, "cap-reached", resource="tasks", cap=TASKS_CAP, detail=detail)
            used = self.setup.must(200, "GET", f"/orgs/{org.id}", self.owner.token)["usage"]["tasks"]["used"]
            self.same("how many there are", used, TASKS_CAP)
            for made in (answer for answer in answers if answer.status == 201):
                self.setup.must(204, "DELETE", made["location"], self.owner.token)
        self.same("the last again", self.create(self.owner, {"title": "last"}, org=org).status, 201)
        self.problem(self.create(self.owner, {"title": "x"}, org=org, project=UNKNOWN_ID), 404, "not-found")

    def check_cap_after_a_change_of_plan(self):
        org = Org(self.setup, self.owner, pro=True)
        for number in range(TASKS_CAP + 1):
            client = self.server if number > TASKS_CAP - 3 else self.setup
            self.same("pro: the create", client.send("POST", org.tasks, self.owner.token, {"title": "x"}).status, 201)
        # A price that the server does not know buys nothing.
        org.subscription("active", price="price_of_something_else")
        self.problem(self.create(self.owner, {"title": "x"}, org=org), 402, "cap-reached", resource="tasks", cap=100,
                     detail="the plan allows at most 100 tasks")  # fmt: skip
        org.subscription("active")
        self.same("pro again: the create", self.create(self.owner, {"title": "x"}, org=org).status, 201)

    # The rest of HTTP

    def check_rate_limit(self):
        org, told = Org(self.setup, self.owner), self.list(self.owner)
        first = self.list(self.owner, org=org)
        if first["ratelimit"] is None:
            print(f"  {self.server.url}: RATE_LIMIT_API_PER_MIN is 0: no limit to look at")
            return
        quota = int(re.match(r'"api";q=(\d+)', first["ratelimit-policy"])[1])
        self.same("the policy", first["ratelimit-policy"], f'"api";q={quota};w=60')
        self.same("the policy of pro", told["ratelimit-policy"], f'"api";q={quota * 10};w=60')
        self.matches("what is left", first["ratelimit"], r'"api";r=\d+;t=(60|59)')
        left = int(first["ratelimit"].split(";")[1].removeprefix("r="))
        self.same("whether others count", quota - 2 <= left < quota, True)
        refused = self.create(self.owner, b"{", org=org)
        self.matches("what is left after a refusal", refused["ratelimit"], rf'"api";r={left - 1};t=\d+')
        if quota > SMALL_QUOTA:
            print(f"  {self.server.url}: a quota of {quota} is not used up: no 429 to look at")
            return
        while (answer := self.list(self.owner, org=org)).status == 200:
            pass
        self.problem(answer, 429, "rate-limited")
        self.matches("retry-after", answer["retry-after"], r"[1-9]\d?")
        self.matches("what is left at the end", answer["ratelimit"], r'"api";r=0;t=\d+')
        self.problem(self.create(self.owner, b"{", org=org), 429, "rate-limited", what="a create")
        self.same("in another org the status", self.list(self.owner).status, 200)

    def check_request_ids(self):
        for given, kept in (("A-z_0.9", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("{}", False)):
            answer = self.list(self.owner, x_request_id=given)
            self.same(f"whether {given[:10]} is kept", answer["x-request-id"] == given, kept)

    def check_methods_and_paths(self):
        answer = self.server.send("PUT", self.org.tasks)
        self.problem(answer, 405, "method-not-allowed")
        self.same("allow", sorted(re.split(r", *", answer["allow"])), ["GET", "HEAD", "POST"])
        for path in (f"{self.org.tasks}/", f"/{self.org.tasks}", self.org.tasks.replace("o", "%6f", 1), "/nothing"):
            self.problem(self.server.send("GET", path, self.owner.token), 404, "not-found", what=path)
        head, get = (self.server.send(method, self.org.tasks, self.owner.token) for method in ("HEAD", "GET"))
        self.same("HEAD", (head.status, head.body, head["content-length"]), (200, b"", get["content-length"]))

    def check_health_and_metrics(self):
        health = self.server.send("GET", "/health")
        self.same("health", (health.status, health.json), (200, {"status": "ok"}))
        self.hardened(health)
        page = self.server.send("GET", "/metrics").body.decode()
        route = 'route="/orgs/{org_id}/projects/{project_id}/tasks"'
        for name in ("mt_http_requests_total", "mt_http_request_duration_seconds_bucket"):
            wanted = [line for line in page.splitlines() if line.startswith(name) and route in line]
            self.same(f"{name} of the route", bool(wanted), True)


def main():
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--setup", required=True, metavar="URL", help="the mt-server that makes orgs and users")
    told.add_argument("--check", required=True, nargs="+", metavar="URL", help="the servers to hold to it")
    told = told.parse_args()
    setup = Client(told.setup)
    users = [User(setup) for _ in range(3)]
    failed = False
    for url in told.check:
        checks = Checks(setup, Client(url), users)
        count = checks.run()
        failed |= bool(checks.differences)
        print(f"{url}: {count} checks, {len(checks.differences)} differences")
        for difference in checks.differences:
            print(f"  {difference}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
