"""Stripe's library for Python, asked over lines of JSON: one question a line, one answer a line.

usage: python3 verify.py FOLDER-WITH-PACKAGES < questions > answers
"""

import base64
import json
import sys

sys.path.insert(0, sys.argv[1])

import stripe  # noqa: E402
import stripe._webhook as webhook  # noqa: E402


class Clock:
    """Stands in for the module `time`: the library takes no time as an argument."""

    now = 0

    def time(self):
        return self.now


webhook.time = Clock()


def answer(question):
    body = base64.b64decode(question["body"])
    secret, at = question["secret"], question["at"]
    if question["op"] == "sign":
        sign = stripe.WebhookSignature.generate_signature_header
        return {"header": sign(body.decode(), secret, at)}
    Clock.now = at
    try:
        stripe.WebhookSignature.verify_header(body, question["header"], secret, 300)
        return {"accepts": True}
    except Exception as error:  # Not only what the library means to raise.
        return {"accepts": False, "why": f"{type(error).__name__}: {error}"[:200]}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
