"""usage: sink.py PACKAGES PORT FOLDER

A mail server (aiosmtpd, from PACKAGES) on PORT. Each mail that it takes is read as mail programs do; FOLDER
gets `count`, how many there were, and `link`, the address that both the text and the HTML hold.
"""

import asyncio
import email
import os
import re
import sys
from email import policy

packages, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.path.insert(0, packages)

from aiosmtpd.smtp import SMTP  # noqa: E402

taken = 0


def write(name, text):
    """Writes the whole file or nothing, because a test waits for it."""
    fresh = os.path.join(folder, name + ".fresh")
    with open(fresh, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, os.path.join(folder, name))


class Handler:
    async def handle_DATA(self, server, session, envelope):
        global taken
        taken += 1
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        text = mail.get_body(("plain",)).get_content()
        html = mail.get_body(("html",)).get_content()
        [link] = [line for line in text.splitlines() if re.fullmatch(r"https?://\S+", line)]
        assert f'href="{link}"' in html, html
        write("count", str(taken))
        write("link", link)
        return "250 taken"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler()), "127.0.0.1", port)
    await server.serve_forever()


asyncio.run(main())
