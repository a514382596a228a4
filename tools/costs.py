"""Time every chapter on the real cells, and write what it costs into chapter 93 and the chapter.

    python tools/costs.py --weights FILE                     # half an hour on two quiet cores
    python tools/costs.py --weights FILE 12_labels 14_smear  # only these; the others keep theirs

The chapters run as `malaria-nb course` runs them, one process each, in a cache that holds the
downloads and nothing else.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from malaria_nb.archive import SIZE
from malaria_nb.notebooks import find_chapters
from malaria_nb.settings import read_settings

NBS = Path(__file__).resolve().parents[1] / "nbs"
COSTS = re.compile(r"(?<=^COSTS = \{\n).*?(?=^\})", re.M | re.S)
LINE = re.compile(r"^\*\*Cost\*\* .*$", re.M)
READS = {
    "01_dataset": f"none for the sample of real cells; {SIZE / 1e6:.0f} MB, once, for all of them",
    "05_transfer": "80 MB, once, for VGG-19's weights",
}
TRAINS = ("04_training", "05_transfer", "06_evaluation")


def timed(
    name: str, folder: Path, weights: str
) -> tuple[float, float]:  # minutes, GB of its largest process
    "Run one chapter at the quick scale on the real cells."
    command = [
        Path(sys.executable).parent / "malaria-nb",
        "course",
        "--cells",
        "nih",
        "--scale",
        "quick",
        "--weights",
        weights,
        "--home",
        folder / "home",
        "--out",
        folder / "out",
        "--only",
        name,
    ]
    began = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)))
    _, status, usage = os.wait4(process.pid, 0)  # of it and of the kernel it waited for
    if status:
        sys.exit(f"{name} did not pass: nothing is written")
    return (time.perf_counter() - began) / 60, usage.ru_maxrss * 1024 / 1e9


def table(measured: dict) -> str:  # of COSTS, four chapters a line
    entries = [
        f'"{name}": ({max(minutes, 0.1):.1f}, {gb:.1f})' for name, (minutes, gb) in measured.items()
    ]
    return "".join(f"    {', '.join(entries[i : i + 4])},\n" for i in range(0, len(entries), 4))


def line(name: str, says: str) -> str:
    "Return a chapter's cost in words."
    gpu = " A GPU's minutes are not measured yet." if name in TRAINS else ""
    return f"**Cost** at the quick scale: {says}. Download: {READS.get(name, 'none')}.{gpu}"


def lines(cost) -> dict[str, str]:  # chapter -> the line it must have
    return {
        path.stem: line(path.stem, cost(path.stem))
        for path in find_chapters(NBS)
        if path.stem < "20"
    }


def rewrite(name: str, pattern: re.Pattern, text: str):
    "Replace what `pattern` finds in a chapter's cells, once."
    path = NBS / f"{name}.ipynb"
    nb = json.loads(path.read_text("utf-8"))
    found = [c for c in nb["cells"] if pattern.search("".join(c["source"]))]
    if len(found) != 1:
        sys.exit(f"{name}: {len(found)} cells with {pattern.pattern!r}, not one")
    found[0]["source"] = pattern.sub(lambda m: text, "".join(found[0]["source"])).splitlines(
        keepends=True
    )
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(weights: str, only: list[str]):
    from malaria_nb.course import COSTS as known

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "home").mkdir()
        (folder / "home" / "nih").symlink_to(read_settings().home / "nih")
        measured = {}
        for name in (path.stem for path in find_chapters(NBS)):
            again = not only or name in only or name not in known
            measured[name] = timed(name, folder, weights) if again else known[name]
    rewrite("93_course", COSTS, table(measured))
    subprocess.run([Path(sys.executable).parent / "nbdev_export"], cwd=NBS.parent, check=True)
    says = (
        "from malaria_nb.course import COSTS, cost; import json; "
        "print(json.dumps({name: cost(name) for name in COSTS}))"
    )
    said = json.loads(
        subprocess.run(
            [sys.executable, "-c", says], capture_output=True, text=True, check=True
        ).stdout
    )
    for name, text in lines(said.__getitem__).items():
        rewrite(name, LINE, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", default="imagenet", help="imagenet, or a VGG-19 weights file")
    parser.add_argument("only", nargs="*", metavar="CHAPTER", help="default: all")
    arguments = parser.parse_args()
    main(arguments.weights, arguments.only)
