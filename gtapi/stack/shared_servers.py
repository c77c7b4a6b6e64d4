"""The background process that runs the embedded servers while commands use them.

Started by ``gtapi.stack.embedded`` as ``python -m gtapi.stack.shared_servers``.
"""

import errno
import sys
from contextlib import ExitStack

from gtapi.data_dir import DataDirError, data_dir
from gtapi.stack.embedded import FOREVER, EmbeddedServers
from gtapi.stack.errors import Interrupted, StackError
from gtapi.stack.process import sleep
from gtapi.stack.signals import ShutdownSignals


def serve() -> None:
    """Run the servers until their last user has left. Returns at once if they have an owner. Raises StackError."""
    stack = EmbeddedServers(data_dir)
    # Wait briefly: commands that look up the owner hold the lock for a moment.
    if not stack.ownership.wait(0.5, sleep):
        return
    try:
        with ShutdownSignals() as signals, ExitStack() as running:
            stack.write_note("background", "starting")
            servers = stack.servers(signals.pause)
            for server in servers:
                running.callback(server.stop)
                server.start()
            for server in servers:
                server.wait_ready()
            stack.write_note("background", "ready")
            stack.users.wait(FOREVER, signals.pause)
            stack.write_note("background", "stopping")
    finally:
        stack.leave()


def main() -> None:
    try:
        serve()
    except (StackError, DataDirError) as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"The disk that holds {data_dir.root} is full.")
    except (Interrupted, KeyboardInterrupt):
        return


if __name__ == "__main__":
    main()
