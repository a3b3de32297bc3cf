"""The two routes, and who may use them."""

from datetime import timedelta

import asyncpg
import orjson

import limits
from database import (
    FIRST, FOR_NEW_TASK, FOR_NEW_TASK_COUNTED, LOCK_MEMBERSHIP, LOCK_ORG, PAGE, TASKS_CAP, WRITE,
    Database, reference, text,
)  # fmt: skip
from fields import body, check_content_type, limit_of, new_task, single, status_of
from ids import INVALID_TOKEN, caller, cursor, etag, path_id, place, uuid7
from problems import JSON, Answer, Problem
from settings import BILLING_GRACE_SECONDS

# Every role has both permissions. A role that this program does not know has none.
ROLES = {"owner", "admin", "member"}
LAPSED = {"past_due", "unpaid", "canceled", "incomplete_expired", "paused"}
GRACE = timedelta(seconds=BILLING_GRACE_SECONDS)


def dump(value):
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def admit(facts, exchange, generation, count):
    """Decides a read on the facts of this transaction: 401, 404, 429 or 403."""
    if facts["generation"] != generation:
        raise Problem.unauthenticated(INVALID_TOKEN)
    if facts["role"] is None:
        raise Problem("not-found")
    exchange.fields = limits.check(count, facts["plan"])
    if facts["suspension"] == "full":
        raise Problem("org-suspended")
    if facts["role"] not in ROLES:
        raise Problem("forbidden")


def admit_writer(facts):
    """Decides the rest for a write: 403 or 402."""
    if facts["suspension"] == "read_only":
        raise Problem("org-suspended")
    if facts["subscription_status"] in LAPSED:
        since = facts["past_due_since"]
        retried = facts["subscription_status"] == "past_due" and since is not None
        if not (GRACE and retried and facts["now"] - since < GRACE):
            raise Problem("billing-required")


class Tasks:
    def __init__(self):
        self.database = Database()
        self.limiter = limits.Limiter()
        # Orgs that had a plan without a cap when they were last seen. A hint, checked in each transaction.
        self.uncapped = set()

    async def start(self):
        await self.database.start()

    async def serve(self, request):
        return await (self.create if request.method == "POST" else self.list)(request)

    async def enter(self, request):
        """Returns the caller, the org and the count of requests."""
        exchange = request.scope["exchange"]
        user, generation = caller(exchange.all(b"authorization"))
        exchange.caller = user
        exchange.org = org = path_id(request.path_params["org_id"])
        return exchange, user, generation, org, await self.limiter.count(user, org)

    async def list(self, request):
        exchange, user, generation, org, count = await self.enter(request)
        page, wrong = page_of(request)
        free, pro = limits.quota("free"), limits.quota("pro")
        async with self.database.transaction(org, user, "read only") as tx:
            rows = await tx.fetch(
                PAGE, org, user, page.project, page.status, page.after, page.limit + 1, count.hits, free, pro
            )
            admit(rows[0], exchange, generation, count)
            if wrong:
                raise wrong
            await tx.execute("commit")
        if not rows[0]["project"]:
            raise Problem("not-found")
        return Answer(200, page.show(org, rows), JSON)

    async def create(self, request):
        exchange, user, generation, org, count = await self.enter(request)
        # Read before the transaction, so that a slow client holds no lock. What is wrong with it is told
        # to members only.
        new, wrong = await task_of(request, exchange)
        title, description, assignee = new
        counted = org not in self.uncapped
        while True:
            locks = LOCK_ORG + LOCK_MEMBERSHIP if counted else LOCK_MEMBERSHIP
            async with self.database.transaction(org, user, "read write", locks) as tx:
                sql = FOR_NEW_TASK_COUNTED if counted else FOR_NEW_TASK
                facts = await tx.fetchrow(sql, org, user, project_or_none(request), assignee)
                admit(facts, exchange, generation, count)
                admit_writer(facts)
                if wrong:
                    raise wrong
                if not facts["project"]:
                    raise Problem("not-found")
                if not facts["assignee"]:
                    raise not_a_member()
                capped = facts["plan"] != "pro"
                if capped and not counted:
                    # The plan was downgraded meanwhile: repeat under the lock.
                    self.uncapped.discard(org)
                    counted = True
                    continue
                if capped and facts["used"] >= TASKS_CAP:
                    raise cap_reached()
                if not capped:
                    self.uncapped.add(org)
                task = {
                    "id": uuid7(), "org_id": org, "project_id": path_id(request.path_params["project_id"]),
                    "title": title, "description": description, "status": "todo", "created_by": user,
                    "assigned_to": assignee and assignee.lower(),
                    "created_at": facts["now"], "updated_at": facts["now"],
                }  # fmt: skip
                await write(tx, task, exchange.request_id)
                break
        json = dump(task)
        location = f"/orgs/{org}/tasks/{task['id']}".encode()
        return Answer(201, json, JSON, (b"location", location), (b"etag", etag(json)))


async def write(tx, task, request_id):
    sql = WRITE.format(
        org=task["org_id"], id=task["id"], project=task["project_id"], caller=task["created_by"], entry=uuid7(),
        title=text(task["title"]), description=text(task["description"]),
        assigned_to=reference(task["assigned_to"]), request=request_id,
    )  # fmt: skip
    try:
        await tx.execute(sql)
    except asyncpg.ForeignKeyViolationError as error:
        # The project or the assignee was deleted between the check and the write.
        if error.constraint_name == "tasks_assigned_to_fkey":
            raise not_a_member() from None
        raise Problem("not-found") from None


def not_a_member():
    return Problem.fields(("/assigned_to", "must be a member of the org"))


def cap_reached():
    detail = f"the plan allows at most {TASKS_CAP} tasks"
    return Problem("cap-reached", detail=detail, resource="tasks", cap=TASKS_CAP)


async def task_of(request, exchange):
    try:
        check_content_type(exchange)
        return new_task(await body(request.receive)), None
    except Problem as wrong:
        return (None, None, None), wrong


def project_or_none(request):
    try:
        return path_id(request.path_params["project_id"])
    except Problem:
        return None


class Page:
    """Reads the page and the list that the request names."""

    project, status, after, limit = None, None, FIRST, 0

    def show(self, org, rows):
        items = [
            {
                "id": id, "org_id": org, "project_id": self.project, "title": title, "description": description,
                "status": status, "created_by": created_by, "assigned_to": assigned_to,
                "created_at": created_at, "updated_at": updated_at,
            }
            for *_facts, id, title, description, status, created_by, assigned_to, created_at, updated_at in rows
            # A project without tasks gives one row of nulls.
            if id is not None
        ]  # fmt: skip
        more = len(items) > self.limit
        del items[self.limit :]
        return dump({"items": items, "next_cursor": cursor(self.scope(), items[-1]["id"]) if more else None})

    def scope(self):
        return f"tasks:{self.project}:{self.status or ''}"


def page_of(request):
    page, query = Page(), request.query_params
    try:
        page.status = status_of(query)
        limit, after = limit_of(query), single(query, "cursor")
        page.project = path_id(request.path_params["project_id"])
        if after is not None:
            page.after = place(page.scope(), after)
        page.limit = limit
        return page, None
    except Problem as wrong:
        return page, wrong
