"""Command line of the local model server: ``python -m local_models --port N``."""

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
#: Seconds for requests in progress to end at shutdown.
SHUTDOWN_SECONDS = 1.0

logger = logging.getLogger("local_models")


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    arguments = parser().parse_args()
    missing_packages = missing()
    if not any(map(available, MODELS)):
        print(  # noqa: T201  # a message for the operator
            f"The local models are not installed (missing: {', '.join(missing_packages)})."
            " Run: pip install 'gtapi[local]'.",
            file=sys.stderr,
        )
        return 1
    if arguments.list:
        print("\n".join(filter(available, MODELS)))  # noqa: T201
        return 0
    # Loading holds the interpreter lock, so Python's own SIGINT handler would not run until it ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if missing_packages:
        logger.warning(
            "some models are not available, since packages are missing: %s", ", ".join(missing_packages)
        )
    return asyncio.run(serve(arguments))


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    home = Path(os.environ.get("GTAPI_HOME") or CHECKOUT / "var")
    # One core is left to the gateway. The threads synchronise many times per token, so a thread that waits for a
    # core makes the others far slower than a single thread.
    threads = max(1, min(2, len(os.sched_getaffinity(0)) - 1))
    parser = argparse.ArgumentParser(
        prog="python -m local_models",
        description="Serve small local models through an OpenAI-compatible API.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port; 0 picks a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; there is no authentication"
    )
    parser.add_argument(
        "--data", type=Path, default=home / "models", help="directory for the weights (250 MB)"
    )
    parser.add_argument("--threads", type=int, default=threads, help="CPU threads per model")
    parser.add_argument(
        "--list", action="store_true", help="print the capabilities of the installed models, and exit"
    )
    return parser


async def stop_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


async def serve(arguments: argparse.Namespace) -> int:
    """Listen, load the models and serve; return the exit status."""
    from aiohttp import web

    from local_models.errors import ModelUnavailableError
    from local_models.local_model import ModelSettings
    from local_models.server import ModelServer

    server = ModelServer(ModelSettings(data=arguments.data, threads=max(1, arguments.threads)))
    # Cancelling handlers of clients that disconnect is what stops a generation.
    runner = web.AppRunner(
        server.application(), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
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
        logger.error("%s", error.message)  # noqa: TRY400  # the message is enough
        return 1
    await stop_signal()
    logger.info("stopping")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(runner.cleanup(), SHUTDOWN_SECONDS)
    return 0


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # A normal exit would wait for the engines' threads, which may be generating.
    os._exit(status)
