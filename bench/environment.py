"""The peers' virtual environment, outside the repository, and what a result must say about the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def cache() -> Path:
    """The folder for exported and compiled networks."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "densenet" / "bench"


def peers_folder() -> Path:
    """The virtual environment's place: `$DENSENET_PEERS`, or in the user's cache folder."""
    return Path(os.environ.get("DENSENET_PEERS") or cache().with_name("peers"))


def pins() -> dict[str, str]:
    """Version of each package that the comparison is pinned to."""
    lines = REQUIREMENTS.read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def installed(python: Path) -> dict[str, str]:
    """Version of each pinned package that the environment has; empty where there is no environment."""
    script = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    try:
        listing = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    versions = json.loads(listing)
    return {name: versions[name] for name in pins() if name in versions}


def make_environment(folder: Path) -> None:
    """Makes the virtual environment, whole or not at all."""
    print(f"making a virtual environment in {folder}", file=sys.stderr)
    try:
        venv.create(folder, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"it could not be made (Debian's package is python3-venv): {error}", file=sys.stderr)


def install(python: Path, name: str, version: str) -> None:
    """Installs one package in its version, or reports that it could not."""
    print(f"installing {name} {version}", file=sys.stderr)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{name}=={version}"]
    if subprocess.run(command).returncode != 0:
        print(f"{name} {version} could not be installed; going on without it", file=sys.stderr)


def peers_python() -> Path:
    """The environment's Python, its packages brought to the pinned versions as far as that can be done.

    Packages are installed one by one, so that one without a wheel for this machine costs that peer alone.
    """
    folder = peers_folder()
    python = folder / "bin" / "python"
    if not folder.exists():
        make_environment(folder)
    if python.exists():
        present = installed(python)
        for name, version in pins().items():
            if present.get(name) != version:
                install(python, name, version)
    return python


def processor() -> str:
    """The processor's name."""
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def commit() -> str:
    """The commit that is checked out, with `-dirty` where files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def machine(python: Path) -> dict[str, Any]:
    """Everything but the timings that a result must carry."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load_average": os.getloadavg(),
        "commit": commit(),
        "versions": installed(python),
    }
