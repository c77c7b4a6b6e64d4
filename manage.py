#!/usr/bin/env python
"""Django's command-line utility: `manage.py run` starts the gateway, `manage.py help` lists all commands.

Without DATABASE_URL and REDIS_URL, commands use the embedded servers in GTAPI_HOME, and start them if needed.
"""

import errno
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gtapi.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed. Run `make run`, which creates .venv, then use .venv/bin/python manage.py."
        )

    from gtapi.stack.environment import apply_defaults, load_env_file

    load_env_file(os.environ)

    from gtapi.data_dir import DataDirError, data_dir  # after .env, which may set GTAPI_HOME
    from gtapi.stack.embedded import running_servers
    from gtapi.stack.errors import StackError

    try:
        launching = sys.argv[1:2] == ["run"]
        apply_defaults(os.environ, data_dir, launching=launching)
        if launching:
            # Django is loaded later, while the servers start.
            from gtapi.management.commands.run import Command

            Command().run_from_argv(sys.argv)
            return
        with running_servers(sys.argv, data_dir):
            execute_from_command_line(sys.argv)
    except (DataDirError, StackError) as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"The disk that holds {error.filename or data_dir.root} is full.")


if __name__ == "__main__":
    main()
