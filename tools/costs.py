"""Measure what chapters cost, and write it wherever it is said.

    python tools/costs.py --cells sample 00 01 02 03 04 05 06   # Part I as a learner meets it first
    python tools/costs.py --cells nih --weights FILE            # all chapters on the real cells
    python tools/costs.py --write                               # measure nothing, write it anew

The chapters run one after the other as `malaria-nb course` runs them, each in a process of its own,
in a cache that holds nothing but, for nih, the download. On two quiet cores a chapter's minutes are
those on the clock; on a busy machine they are at most its processor time. What is not named keeps
what was measured before; a chapter that was never measured can have a guess until then.

Minutes and GB go into `COSTS` of nbs/93_course.ipynb. From there come the line **Cost** in each
chapter's head, what `start` printed in the chapter's stored outputs, the minutes in the index's
table of chapters and the sentence in the teacher's guide.
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

from malaria_nb import course
from malaria_nb.archive import SIZE
from malaria_nb.notebooks import find_chapters
from malaria_nb.outputs import output_digests, sign_outputs
from malaria_nb.settings import SCALES, read_settings

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
SAMPLE = 1179  # cells; a test counts them
READS = {
    "01_dataset": f"none for the sample; {SIZE / 1e6:.0f} MB, once, for all cells",
    "05_transfer": "80 MB, once, for VGG-19's weights",
}
LINE = re.compile(r"^\*\*Cost\*\* .*$", re.M)
SAID = re.compile(r"(?:under a minute|about \d+ minutes?) on 2 CPU cores, [\d.]+ GB of memory")
GUIDE = re.compile(r"^On two cores the whole course takes .*$", re.M)


# ---- what is said of the costs


def lessons(nbs: Path = NBS) -> list[str]:
    "Name the chapters that are read."
    return [p.stem for p in find_chapters(nbs) if p.stem < "70"]


def line(name: str) -> str:
    "Return a chapter's cost in words, as its head has it."
    small, large = (course.cost(name, cells=cells) for cells in ("sample", "nih"))
    many = f"{SCALES['quick'].real:,} of all real cells"
    if small == large:
        takes = f"{small}, with the sample's {SAMPLE:,} cells as with {many}"
    else:
        (time, gb), (more, most) = (words.split(" on 2 CPU cores, ") for words in (small, large))
        takes = f"{time} on 2 CPU cores with the sample's {SAMPLE:,} cells ({gb})"
        takes += f", {more} with {many} ({most.removesuffix(' of memory')})"
    return f"**Cost** at the quick scale: {takes}. Download: {READS.get(name, 'none')}."


def minutes(name: str, cells: str = "sample") -> str:
    "Return a chapter's minutes as a table has them."
    known = course.measured(name, cells)
    return "< 1" if known[0] < 1 else f"{known[0]:.0f}"


def longest(cells: str) -> str:
    "Name the chapters that take longest, with their minutes."
    known = {name: course.measured(name, cells)[0] for name in lessons()}
    first = sorted(known, key=known.get, reverse=True)[:4]
    return ", ".join(f"{name[:2]} ({minutes(name, cells)})" for name in first)


def guide() -> str:
    "Return what the teacher's guide says of the costs: one line."
    takes = {cells: course.cost(*lessons(), cells=cells) for cells in ("sample", "nih")}
    time, memory = {}, {}
    for cells, words in takes.items():
        time[cells], memory[cells] = re.split(r" on 2 CPU cores, | of memory", words)[:2]
    large = max(lessons(), key=lambda name: course.measured(name, "nih")[1])
    most = memory["sample"]
    if memory["nih"] != most:
        most += f", or {memory['nih']} with all real cells"
    return (
        f"On two cores the whole course takes {time['sample']} with the sample of "
        f"{SAMPLE:,} cells, longest in chapters {longest('sample')}; with "
        f"{SCALES['quick'].real:,} of all real cells {time['nih']}, longest in "
        f"{longest('nih')}. The most memory is {most}, in chapter {large[:2]}."
    )


# ---- where it is written


def rewrite(path: Path, pattern: re.Pattern, text: str):
    "Replace what `pattern` finds in the Markdown of a chapter, once."
    nb = json.loads(path.read_text("utf-8"))
    found = [c for c in nb["cells"] if pattern.search("".join(c["source"]))]
    if len(found) != 1:
        sys.exit(f"{path.stem}: {len(found)} cells with {pattern.pattern!r}, not one")
    changed = pattern.sub(lambda m: text, "".join(found[0]["source"]))
    found[0]["source"] = changed.splitlines(keepends=True)
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def restate(path: Path, says: str):
    "Put a cost in words into what a chapter's `start` printed, and sign that output."
    before, nb = output_digests(path), json.loads(path.read_text("utf-8"))
    for cell in nb["cells"]:
        for output in cell.get("outputs", []):
            if "start(" in "".join(cell["source"]) and "text" in output:
                text = SAID.sub(says, "".join(output["text"]))
                output["text"] = text.splitlines(keepends=True)
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sign_outputs(path, before)


def stated(path: Path) -> list[str]:
    "List the costs in words that a chapter's stored outputs show."
    outputs = [
        "".join(output.get("text", ""))
        for cell in json.loads(path.read_text("utf-8"))["cells"]
        for output in cell.get("outputs", [])
    ]
    return SAID.findall("\n".join(outputs))


def write():
    "Write what the costs say of themselves into chapters, index, README and guide."
    for name in lessons():
        rewrite(NBS / f"{name}.ipynb", LINE, line(name))
        restate(NBS / f"{name}.ipynb", course.cost(name, cells="nih"))
    path = NBS / "teaching.md"
    text = path.read_text("utf-8")
    if len(GUIDE.findall(text)) != 1:
        sys.exit("nbs/teaching.md has no line, or several, that begin as the costs do")
    path.write_text(GUIDE.sub(lambda m: guide(), text), encoding="utf-8")
    command = [Path(sys.executable).parent / "malaria-nb", "course", "--cells", "sample"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--only", "index", "--store", "--out", folder]
        subprocess.run([*command, *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, ROOT / "tools" / "readme.py"], check=True)


def table(costs: dict) -> str:  # the code of COSTS
    "Write the table of costs as code, a chapter a line."
    rows = ["COSTS = {"]
    for cells, known in costs.items():
        rows.append(f'    "{cells}": {{')
        rows += [f'        "{name}": ({m:.1f}, {gb:.1f}),' for name, (m, gb) in known.items()]
        rows.append("    },")
    return "\n".join([*rows, "}"])


# ---- how it is measured


def timed(
    name: str, cells: str, weights: str, folder: Path
) -> tuple[float, float]:  # minutes, GB of its largest process
    "Run one chapter at the quick scale."
    command = [Path(sys.executable).parent / "malaria-nb", "course", "--only", name]
    options = {"cells": cells, "scale": "quick", "weights": weights}
    options |= {"home": folder / "home", "out": folder / "out"}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    began = time.perf_counter()
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "TQDM_DISABLE": "1"}}
    process = subprocess.Popen([*map(str, command), *words], **quiet)
    _, status, usage = os.wait4(process.pid, 0)  # of it and of the kernel it waited for
    if status:
        raise RuntimeError(f"{name} did not pass")
    # where others use the machine the clock runs on; alone, it needs no more than its own time
    seconds = min(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)
    return max(seconds / 60, 0.1), usage.ru_maxrss * 1024 / 1e9


def measure(names: list[str], cells: str, weights: str) -> dict[str, tuple[float, float]]:
    "Run chapters in order in a cache of their own; stop where one fails, and keep what there is."
    found = {}
    if os.getloadavg()[0] > 0.7:
        print("this machine is busy: minutes are processor time, an upper limit", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if cells == "nih":
            (home / "nih").symlink_to(read_settings().home / "nih")
        for name in names:
            try:
                found[name] = timed(name, cells, weights, Path(folder))
            except RuntimeError as e:
                print(f"{e}: it and those after it keep their costs", file=sys.stderr)
                break
            print(f"{name:<18} {found[name][0]:5.1f} min {found[name][1]:5.1f} GB", flush=True)
    return found


def main(arguments: list[str]) -> int:
    "Measure, write the table, and write what follows from it."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", choices=("sample", "nih"), default="sample")
    parser.add_argument("--weights", default="auto", help="as for malaria-nb course")
    parser.add_argument("--write", action="store_true", help="write what is known, measure nothing")
    parser.add_argument("only", nargs="*", metavar="CHAPTER", help="default: all that are read")
    given = parser.parse_args(arguments)
    if given.write:
        write()
        return 0
    known = course.COSTS[given.cells]
    names = [p.stem for p in find_chapters(NBS, given.only or None)]
    if not given.only:
        names = [name for name in names if name < "70" or name in known or name == "index"]
    found = measure(names, given.cells, given.weights)
    both = sorted((known | found).items(), key=lambda item: (item[0] != "index", item[0]))
    costs = course.COSTS | {given.cells: dict(both)}
    whole = re.compile(r"^COSTS = \{\n(?:.*\n)*?\}$", re.M)
    rewrite(NBS / "93_course.ipynb", whole, table(costs))
    subprocess.run([Path(sys.executable).parent / "nbdev_export"], cwd=ROOT, check=True)
    # what is written uses the new table, which this process hasn't got
    subprocess.run([sys.executable, __file__, "--write"], check=True)
    return int(len(found) < len(names))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
