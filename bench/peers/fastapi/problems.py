"""The server's answers and problem documents."""

import orjson

JSON = (b"content-type", b"application/json; charset=utf-8")
PROBLEM_JSON = (b"content-type", b"application/problem+json")

TITLES = {
    "invalid-request": (400, "The request cannot be read"),
    "unauthenticated": (401, "Sign in first"),
    "billing-required": (402, "The subscription does not allow changes"),
    "cap-reached": (402, "The plan allows no more of these"),
    "forbidden": (403, "Not allowed"),
    "org-suspended": (403, "The org is suspended"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "Not a supported content type"),
    "invalid-fields": (422, "Some fields are not valid"),
    "rate-limited": (429, "Too many requests"),
    "internal": (500, "Something went wrong here"),
    "unavailable": (503, "Not available at the moment"),
}


class Answer:
    """An ASGI response made of bytes. The shell adds the headers that all answers have."""

    __slots__ = ("status", "headers", "body", "code")

    def __init__(self, status, body, *headers, code=None):
        self.status, self.body, self.code = status, body, code
        self.headers = [*headers, (b"content-length", b"%d" % len(body))]

    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Problem(Exception):
    """An exception that becomes an `application/problem+json` answer (RFC 9457)."""

    def __init__(self, code, *headers, detail=None, errors=None, **members):
        super().__init__(code)
        self.code, self.headers = code, list(headers)
        self.detail, self.errors, self.members = detail, errors, members
        if code == "unavailable":
            self.headers.append((b"retry-after", b"1"))

    @classmethod
    def parameter(cls, name, detail):
        errors = [{"pointer": f"?{name}", "detail": detail}]
        return cls("invalid-request", detail=f"`{name}` {detail}", errors=errors)

    @classmethod
    def fields(cls, *wrong):
        return cls("invalid-fields", errors=[{"pointer": at, "detail": detail} for at, detail in wrong])

    @classmethod
    def unauthenticated(cls, challenge=b"Bearer"):
        return cls("unauthenticated", (b"www-authenticate", challenge))

    @classmethod
    def of_status(cls, status, headers):
        """Returns the problem for an error that the framework raises."""
        code = {404: "not-found", 405: "method-not-allowed"}.get(status, "internal")
        return cls(code, *((name.lower().encode(), value.encode()) for name, value in headers.items()))

    def answer(self, request_id):
        status, title = TITLES[self.code]
        document = {"type": f"/problems/{self.code}", "title": title, "status": status}
        if self.detail is not None:
            document["detail"] = self.detail
        document |= {"code": self.code, "request_id": request_id}
        if self.errors:
            document["errors"] = self.errors
        document |= self.members
        return Answer(status, orjson.dumps(document), PROBLEM_JSON, *self.headers, code=self.code)
