"""PostgreSQL refuses to run as root, or as a user without a name: the user that it is started as then."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gtapi.stack.errors import StackError


@dataclass(frozen=True)
class RunAsUser:
    """What to put before a command, and the user who then owns PostgreSQL's data on the disk."""

    prefix: list[str]
    owner: int

    def own(self, folder: Path) -> None:
        """Give `folder` and all in it to this user, where another guise left it to somebody else."""
        if folder.stat().st_uid == self.owner:
            return
        for parent, folders, files in os.walk(folder):
            for name in ("", *folders, *files):
                os.chown(Path(parent) / name, self.owner, -1, follow_symlinks=False)


def find_run_as_user(programs: Path, folder: Path) -> RunAsUser:
    """How to run what is in `programs` so that it can work in `folder`. Raises StackError if nothing does."""
    user = os.geteuid()
    if user != 0 and _has_name(user):
        return RunAsUser([], user)
    nobody = _somebody_else()
    candidates = [
        # Another name for ourselves: files stay ours, no right is gained. Containers often refuse it.
        RunAsUser(["unshare", "-U", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"], user)
    ]
    if user == 0:
        candidates.append(_as_somebody_else(nobody))
    for guise in candidates:
        if _works(guise, programs, folder):
            return guise
    raise StackError(
        "PostgreSQL does not run as root, and neither unshare nor setpriv can change the user here: "
        "start this as a plain user, or set DATABASE_URL."
    )


def _as_somebody_else(nobody: pwd.struct_passwd) -> RunAsUser:
    # One right is kept, to pass through folders that are closed to others, as /root is. The kernel forgets
    # the parent's death signal when the user changes, so setpriv sets it again.
    rights = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    user = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    return RunAsUser(["setpriv", *user, *rights, "--pdeathsig", "QUIT", "--"], nobody.pw_uid)


def _works(guise: RunAsUser, programs: Path, folder: Path) -> bool:
    check = [
        *guise.prefix,
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


def _somebody_else() -> pwd.struct_passwd:
    # initdb looks the user's name up, so a number alone is not enough.
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise StackError("PostgreSQL does not run as root, and this machine knows no other user.")
    return next((entry for entry in others if entry.pw_name == "nobody"), others[0])
