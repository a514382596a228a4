"""Resolve the course for systems that are not at hand: does every requirement have a wheel there?

    python tools/platforms.py            # each system and Python that settings.ini allows

Nothing is installed. Needs uv on the path and a package registry. Exits with 1 where a system has
no solution; what uv says of the reason is printed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from requirements import COURSE, SETTINGS, requirements

SYSTEMS = {
    "Windows": "x86_64-pc-windows-msvc",
    "Mac, Apple silicon": "aarch64-apple-darwin",
    "Linux": "x86_64-unknown-linux-gnu",
}


def pythons() -> list[str]:  # "3.11", "3.12", …
    "List the versions of Python that settings.ini allows."
    least, end = (int(SETTINGS[key].split(".")[1]) for key in ("min_python", "max_python"))
    return [f"3.{minor}" for minor in range(least, end)]


def resolve(system: str, python: str) -> tuple[int, str]:
    "Return how many wheels a system gets, 0 for no solution, and what uv said."
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder, "wanted.in"), Path(folder, "found.txt")
        wanted.write_text("\n".join(requirements(*COURSE)) + "\n", encoding="utf-8")
        command = ["uv", "pip", "compile", "-q", "--no-header", "--only-binary", ":all:"]
        command += ["--python-platform", system, "--python-version", python]
        done = subprocess.run([*command, wanted, "-o", found], capture_output=True, text=True)
        lines = found.read_text("utf-8").splitlines() if found.exists() else []
    return sum("==" in line for line in lines if line[:1].isalnum()), done.stderr.strip()


def main() -> int:
    failed = 0
    for name, system in SYSTEMS.items():
        for python in pythons():
            wheels, why = resolve(system, python)
            failed += not wheels
            print(f"{name}, Python {python}: {f'{wheels} wheels' if wheels else why}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
