"""Ids, tokens and cursors, which are checked without Postgres and Redis."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from hmac import compare_digest, digest
from os import urandom
from time import time, time_ns
from uuid import UUID

import orjson

from problems import Problem
from settings import JWT_SECRET

is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII).fullmatch
LEEWAY = 5
INVALID_TOKEN = b'Bearer error="invalid_token"'


def path_id(text):
    """The id in its canonical form. A malformed id is treated like an unknown one."""
    if not is_uuid(text):
        raise Problem("not-found")
    return text.lower()


def uuid7():
    """Returns a time-ordered id (RFC 9562 §6.2, method 3), with 12 bits of sub-millisecond time."""
    ms, rest = divmod(time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    tail = int.from_bytes(urandom(8)) >> 2
    return str(UUID(int=ms << 80 | 7 << 76 | fraction << 64 | 2 << 62 | tail))


def from_base64(text):
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def caller(authorization):
    """The user and the session generation of a bearer token.

    Written out, because the libraries for JWT take ten times as long for these few lines. One algorithm
    and one key are accepted, whatever the token's header says.
    """
    if len(authorization) != 1:
        raise Problem.unauthenticated(INVALID_TOKEN if authorization else b"Bearer")
    scheme, _, token = authorization[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Problem.unauthenticated()
    try:
        signed, _, signature = token.strip(b" ").rpartition(b".")
        head, payload = signed.split(b".")
        if not compare_digest(digest(JWT_SECRET, signed, "sha256"), from_base64(signature)):
            raise ValueError("signature")
        check_header(orjson.loads(from_base64(head)))
        return checked_claims(orjson.loads(from_base64(payload)))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Problem.unauthenticated(INVALID_TOKEN) from None


def check_header(head):
    if head["alg"] != "HS256" or "crit" in head or "kid" in head or head.get("typ", "JWT").upper() != "JWT":
        raise ValueError("header")


def checked_claims(claims):
    now, audience = time(), claims["aud"]
    intended = "mt" in audience if isinstance(audience, list) else audience == "mt"
    timely = claims["exp"] + LEEWAY > now and claims.get("nbf", 0) - LEEWAY <= now
    user, generation = claims["sub"], claims["ver"]
    if not (intended and timely and claims["iss"] == "mt" and is_uuid(user) and type(generation) is int):
        raise ValueError("claims")
    return user.lower(), generation


CURSOR_KEY = digest(JWT_SECRET, b"peer list cursor v1", "sha256")


def cursor(scope, last):
    """Returns a signed position in the list that `scope` names. No other list accepts it."""
    place = UUID(last).bytes
    return urlsafe_b64encode(place + seal(scope, place)).rstrip(b"=").decode()


def place(scope, text):
    try:
        raw = from_base64(text.encode())
    except (NotBase64, ValueError):
        raw = b""
    if len(text) > 64 or len(raw) != 32 or not compare_digest(raw[16:], seal(scope, raw[:16])):
        raise Problem.parameter("cursor", "takes the `next_cursor` of this very list")
    return str(UUID(bytes=raw[:16]))


def seal(scope, place):
    return digest(CURSOR_KEY, scope.encode() + b"\0" + place, "sha256")[:16]


def etag(body):
    return b'"' + urlsafe_b64encode(sha256(body).digest()[:16]).rstrip(b"=") + b'"'
