"""The run-as user of the embedded PostgreSQL, which refuses to run as root or as a user without a name."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gtapi.stack.errors import StackError


@dataclass(frozen=True)
class RunAsUser:
    """A command prefix that changes the user, and the id of the user who then owns PostgreSQL's files."""

    prefix: list[str]
    owner: int

    def own(self, folder: Path) -> None:
        """Change the owner of `folder` and its contents to this user, if another user owns it."""
        if folder.stat().st_uid == self.owner:
            return
        for parent, folders, files in os.walk(folder):
            for name in ("", *folders, *files):
                os.chown(Path(parent) / name, self.owner, -1, follow_symlinks=False)


def find_run_as_user(programs: Path, folder: Path) -> RunAsUser:
    """Find a user who can run the binaries in `programs` and write to `folder`. Raises StackError."""
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return RunAsUser([], user)
    nobody = _unprivileged_user()
    candidates = [
        # A user namespace: another name for the same user. Containers often forbid it.
        RunAsUser(["unshare", "-U", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"], user)
    ]
    if user == 0:
        candidates.append(_setpriv(nobody))
    for candidate in candidates:
        if _works(candidate, programs, folder):
            return candidate
    raise StackError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv can change the user on this machine. "
        "Start the gateway as another user, or set DATABASE_URL."
    )


def _setpriv(nobody: pwd.struct_passwd) -> RunAsUser:
    # Keep one capability, to access files below private folders such as /root. A change of user resets the
    # parent death signal, so setpriv sets it again.
    rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    user = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    return RunAsUser(["setpriv", *user, *rights, "--pdeathsig", "QUIT", "--"], nobody.pw_uid)


def _works(candidate: RunAsUser, programs: Path, folder: Path) -> bool:
    check = [
        *candidate.prefix,
        "sh",
        "-c",
        'test -x "$0" && test -w "$1"',
        str(programs / "postgres"),
        str(folder),
    ]
    try:
        return subprocess.run(check, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _has_name(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _unprivileged_user() -> pwd.struct_passwd:
    # initdb looks up the user's name, so an id alone is not enough.
    users = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not users:
        raise StackError("PostgreSQL does not run as root, and this machine has no other user.")
    return next((entry for entry in users if entry.pw_name == "nobody"), users[0])
