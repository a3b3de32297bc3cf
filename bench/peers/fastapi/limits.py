"""Requests of one caller in one org within a minute, counted in Redis."""

import asyncio
from collections import namedtuple
from hashlib import sha1
from time import monotonic

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from problems import Problem
from settings import RATE_LIMIT_API_PER_MIN, REDIS_URL

WINDOW = 60
PRO_FACTOR = 10

# Counts and sets the expiry in one step, so that a crash leaves no key without expiry.
SCRIPT = """
local hits = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  left = tonumber(ARGV[1])
  redis.call('PEXPIRE', KEYS[1], left)
end
return {hits, left}
"""

SHA = sha1(SCRIPT.encode()).hexdigest()

Count = namedtuple("Count", "hits left_ms")
UNLIMITED = Count(0, 0)


def quota(plan):
    return RATE_LIMIT_API_PER_MIN * (PRO_FACTOR if plan == "pro" else 1)


class Limiter:
    """Counts all requests that wait at the same moment in one message: a call to Redis costs this process
    more than it costs Redis."""

    def __init__(self):
        # A short timeout: the limiter must not slow requests down.
        timeouts = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
        self.redis = Redis.from_url(REDIS_URL, **timeouts) if REDIS_URL else None
        self.waiting, self.sender, self.here = [], None, {}

    async def count(self, caller, org):
        """Counts a request. Whether it exceeds the quota depends on the plan, which is not known yet."""
        if not RATE_LIMIT_API_PER_MIN:
            return UNLIMITED
        key = f"peer:rl:{caller}:{org}"
        if not self.redis:
            return self.count_here(key)
        counted = asyncio.get_running_loop().create_future()
        self.waiting.append((key, counted))
        if self.sender is None:
            self.sender = asyncio.create_task(self.send())
        return await counted

    async def send(self):
        try:
            while self.waiting:
                batch, self.waiting = self.waiting, []
                for (key, counted), answer in zip(batch, await self.ask([key for key, _ in batch]), strict=True):
                    # A client that has disconnected does not wait any more.
                    if not counted.done():
                        counted.set_result(self.count_here(key) if answer is None else Count(*answer))
        finally:
            self.sender = None

    async def ask(self, keys):
        try:
            pipeline = self.redis.pipeline(transaction=False)
            for key in keys:
                pipeline.evalsha(SHA, 1, key, WINDOW * 1000)
            answers = await pipeline.execute(raise_on_error=False)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                # Redis does not have the script. Load it and count in this process meanwhile.
                await self.redis.script_load(SCRIPT)
            return [answer if isinstance(answer, list) else None for answer in answers]
        except (RedisError, OSError, TimeoutError):
            return [None] * len(keys)

    def count_here(self, key):
        """Counts in this process while Redis is unreachable."""
        now = monotonic()
        if len(self.here) > 65_536:
            self.here.clear()
        hits, end = self.here.get(key, (0, 0))
        hits, end = (hits + 1, end) if end > now else (1, now + WINDOW)
        self.here[key] = hits, end
        return Count(hits, int((end - now) * 1000))


def check(count, plan):
    """Returns the `RateLimit` fields for the answer; raises 429 above the quota."""
    if count is UNLIMITED:
        return ()
    limit, seconds = quota(plan), -(-count.left_ms // 1000)
    fields = (
        (b"ratelimit-policy", b'"api";q=%d;w=%d' % (limit, WINDOW)),
        (b"ratelimit", b'"api";r=%d;t=%d' % (max(0, limit - count.hits), seconds)),
    )
    if count.hits > limit:
        raise Problem("rate-limited", *fields, (b"retry-after", b"%d" % max(1, seconds)))
    return fields
