"""The command line: ``python -m local_models --port N``."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from local_models import MODELS, available, missing

CHECKOUT = Path(__file__).resolve().parents[1]
#: Seconds that running requests get to notice the end.
GRACE = 1.0

logger = logging.getLogger("local_models")


def main() -> int:
    """Serve until told to stop; return the exit status."""
    arguments = parser().parse_args()
    lacking = missing()
    if not any(map(available, MODELS)):
        print(  # noqa: T201  # the one sentence an operator sees
            f"The local models are not installed (missing: {', '.join(lacking)})."
            " Install them by: pip install 'gtapi[local]'.",
            file=sys.stderr,
        )
        return 1
    if arguments.list:
        print("\n".join(filter(available, MODELS)))  # noqa: T201
        return 0
    # The engine holds the interpreter while it loads, so until then a signal has to end the process by itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if lacking:
        logger.warning("some models are left out, since packages are missing: %s", ", ".join(lacking))
    return asyncio.run(serve(arguments))


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    home = Path(os.environ.get("GTAPI_HOME") or CHECKOUT / "var")
    # One core is left to the gateway. The engines' threads wait for each other many times a token, so that with one
    # that has no core to run on they are slower by far than one alone.
    threads = max(1, min(2, len(os.sched_getaffinity(0)) - 1))
    parser = argparse.ArgumentParser(
        prog="python -m local_models",
        description="Serve this machine's own models in OpenAI's shapes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, without log-in")
    parser.add_argument("--data", type=Path, default=home / "models", help="folder for the weights (250 MB)")
    parser.add_argument("--threads", type=int, default=threads, help="CPU threads for each model")
    parser.add_argument("--list", action="store_true", help="print what the installed ones can do, and end")
    return parser


async def told_to_stop() -> None:
    """Return on SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


async def serve(arguments: argparse.Namespace) -> int:
    """Listen, load, serve; return the exit status."""
    from aiohttp import web

    from local_models.errors import ModelUnavailableError
    from local_models.local_model import Settings
    from local_models.server import Server

    server = Server(Settings(data=arguments.data, threads=max(1, arguments.threads)))
    # Handlers are cancelled when their client leaves, which is what stops a generation.
    runner = web.AppRunner(
        server.application(), handler_cancellation=True, access_log=None, shutdown_timeout=GRACE
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, arguments.host, arguments.port).start()
    except OSError as error:
        logger.error("cannot listen on %s:%s: %s", arguments.host, arguments.port, error.strerror)  # noqa: TRY400
        return 1
    logger.info("listening on http://%s:%s", *runner.addresses[0][:2])

    try:
        await server.preload()
    except ModelUnavailableError as error:
        logger.error("%s", error.message)  # noqa: TRY400  # the sentence says it all
        return 1
    await told_to_stop()
    logger.info("stopping")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(runner.cleanup(), GRACE)
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # The engines' threads may be in the middle of a token, and a normal exit would wait for them.
    os._exit(status)
