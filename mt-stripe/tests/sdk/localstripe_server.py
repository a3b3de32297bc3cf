"""localstripe on a free port of this machine, until standard input closes. Prints the port.

Its own program listens on every address and keeps a file in the folder for temporary files.

usage: python3 localstripe_server.py FOLDER-WITH-PACKAGES
"""

import asyncio
import sys

sys.path.insert(0, sys.argv[1])

from aiohttp import web  # noqa: E402
from localstripe.resources import store  # noqa: E402
from localstripe.server import app  # noqa: E402

store.dump_to_disk = lambda: None


async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


asyncio.run(main())
