"""Make a teacher's slides from the cells that the chapters mark as slides.

    python tools/slides.py [OUT]      # default: _docs; each chapter's deck is in OUT/slides
    python tools/slides.py --mark 03  # mark a chapter's questions, their answers, figures and recap

Sphinx and reveal.js show them, from disk, too. A Markdown cell is shown as it is, a code cell by
what it printed or drew, under the heading of its section.
The paragraph that follows a picture becomes the speaker's note (press s).
"""

import json
import re
import shutil
import sys
from pathlib import Path

from book import DOCS, NBS, ROOT, pictures, sphinx

from malaria_nb.notebooks import find_chapters, processed

FOLD = re.compile(r"<details>.*?</summary>|</details>")
HEADING = re.compile(r"^#{1,4} +(.+)$", re.M)


def is_slide(cell) -> bool:
    return cell.metadata.get("slideshow", {}).get("slide_type") == "slide"


def candidates(cells: list[dict]) -> list[int]:
    "Choose a deck's cells: questions with what answers them, figures, large formulas, the recap."
    found, asked = [], False
    for i, cell in enumerate(cells):
        source = "".join(cell["source"])
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if cell["cell_type"] == "markdown":
            question = "**Predict.**" in source
            if question or "## Recap" in source or re.search(r"^\$\$", source, re.M):
                found.append(i)
            asked = asked or question
        elif cell.get("outputs"):
            # a number or an array fills no slide
            if "image/png" in kinds or (asked and kinds & {"text/html", "text/markdown"}):
                found.append(i)
            asked = False
    return found


def mark(path: Path):
    "Mark a chapter's slides, beside those that are marked already."
    nb = json.loads(path.read_text("utf-8"))
    for i in candidates(nb["cells"]):
        nb["cells"][i]["metadata"]["slideshow"] = {"slide_type": "slide"}
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def without_links(text: str) -> str:  # a slide has nowhere to go to; pictures stay
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:)[^)]+\)", r"\1", text)


def shown(cell) -> str:
    "Return a code cell's outputs as Markdown."
    parts = []
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "text/markdown" in data:
            parts.append(data["text/markdown"])
        elif "text/html" in data:
            parts.append(re.sub(r"\n\s*\n", "\n", data["text/html"]))
        elif data.get("text/plain"):
            parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    beside = all(part.startswith("![") for part in parts)  # several pictures share a slide
    return (" " if beside else "\n\n").join(parts)


def deck(nb) -> str:
    "Return the Markdown of a chapter's slides: its title, then a section a slide."
    first = nb.cells[0].source
    parts, heading = [re.match(r"# .+\n\n> .+", first)[0]], ""
    for cell, after in zip(nb.cells[1:], [*nb.cells[2:], None]):
        text = without_links(cell.source)
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(text) or [heading])[-1]
        if not is_slide(cell):
            continue
        body = shown(cell) if cell.cell_type == "code" else HEADING.sub("", text).strip()
        parts.append(f"## {heading}\n\n{body}")
        if (
            cell.cell_type == "code"
            and after is not None
            and after.cell_type == "markdown"
            and not HEADING.match(after.source)
        ):
            said = without_links(FOLD.sub("", after.source)).strip().split("\n\n")[0]
            parts.append(f"```{{revealjs-notes}}\n{said}\n```")
    return "\n\n".join(parts) + "\n"


def lay_out(out: Path):
    "Write a source file a chapter that marks slides, and a page that lists them."
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    names = []
    for path in find_chapters(NBS):
        nb = processed(path)
        if not any(map(is_slide, nb.cells)):
            continue
        pictures(nb, path.stem, out)
        (out / f"{path.stem}.md").write_text(deck(nb), encoding="utf-8")
        names.append(path.stem)
    listed = "\n".join(f"- [{name}]({name}.md)" for name in names)
    tree = "\n".join(["```{toctree}", ":hidden:", "", *names, "```"])
    (out / "index.md").write_text(
        f"# Slides\n\n## One deck a chapter\n\n{listed}\n\n{tree}\n", encoding="utf-8"
    )
    shutil.copytree(DOCS / "_static", out / "_static")
    shutil.copytree(NBS / "images", out / "images", dirs_exist_ok=True)


def main(out: Path):
    lay_out(out / "slides-source")
    sys.exit(
        sphinx(
            "revealjs",
            out / "slides-source",
            out / "slides",
            "-D",
            "extensions=myst_nb,sphinx_revealjs",
        )
    )


if __name__ == "__main__":
    if "--mark" in sys.argv[1:]:
        for chapter in find_chapters(NBS, sys.argv[2:]):
            if chapter.stem < "70":
                mark(chapter)
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_docs"))
