"""The settings, from the environment. The names are those of mt-server where it has them."""

from os import environ

DATABASE_URL = environ["DATABASE_URL"]
JWT_SECRET = environ["JWT_SECRET"].encode()
REDIS_URL = environ.get("REDIS_URL")
HOST = environ.get("HOST", "127.0.0.1")
PORT = int(environ.get("PORT", "8001"))
WORKERS = int(environ.get("WORKERS", "1"))
# Connections of each worker.
DB_POOL = int(environ.get("DB_POOL", "16"))
# 0 turns the limit off.
RATE_LIMIT_API_PER_MIN = int(environ.get("RATE_LIMIT_API_PER_MIN", "0"))
BILLING_GRACE_SECONDS = int(environ.get("BILLING_GRACE_SECONDS", "0"))
