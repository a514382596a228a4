"""Lay out the book's source from chapters, exercises and library, and let Sphinx make the site.

python tools/book.py [OUT]      # default: _docs; the site is in OUT/html
"""

import ast
import base64
import html
import importlib
import inspect
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import nbformat
from nbdev.showdoc import BasicMarkdownRenderer

# whoever runs this file, a test too, finds its neighbour
sys.path.insert(0, str(Path(__file__).resolve().parent))
from ending import ending, progress_page

from malaria_nb.notebooks import find_chapters, processed
from malaria_nb.progress import read_lessons

ROOT = Path(__file__).resolve().parents[1]
NBS, DOCS = ROOT / "nbs", ROOT / "docs"
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
house = runpy.run_path(str(ROOT / "tools" / "map.py"))
LAYERS, MODULES = house["LAYERS"], house["modules"]()
FRONT = runpy.run_path(str(ROOT / "tools" / "front.py"))
MARKS = re.compile(
    r"^[ \t]*### (?:BEGIN|END) SOLUTION\n?|  # solution$", re.M
)  # for the machine that makes the exercises
REPOSITORY = "{git_url}/blob/{branch}".format(**settings["DEFAULT"])


def pictures(nb, name: str, out: Path):
    "Put files `name-…` and Markdown in place of a notebook's pictures."
    n = 0
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            n += 1
            file = out / "images" / f"{name}-{n}.png"
            file.parent.mkdir(exist_ok=True)
            with file.open("xb") as f:
                f.write(base64.b64decode(data["image/png"]))  # x: no page may take another's name
            output.data = {
                "text/markdown": f"![{output.metadata['image/png']['alt']}](/images/{file.name})"
            }


def links(text: str, folder: str, pages: set[str]) -> str:
    "Point links at files that are no pages of the book at the repository."

    def there(m):
        target, _, anchor = m[1].partition("#")
        if re.match(r"[a-z]+:", m[1]) or not target or target.startswith("images/"):
            return m[0]
        path = (ROOT / folder / target).resolve()
        try:
            inside = path.relative_to(ROOT).as_posix()
        except ValueError:
            return m[0]
        return m[0] if inside in pages else f"]({REPOSITORY}/{inside})"

    return re.sub(r"\]\(([^)\s]+)\)", there, text)


def reference(module: str) -> str:
    "Return a module's page: every public name with its docments."
    m = importlib.import_module(f"malaria_nb.{module}")
    parts = [f"# malaria_nb.{module}\n\n{inspect.getdoc(m)}"]
    for name in m.__all__:
        symbol = getattr(m, name)
        if not (inspect.isfunction(symbol) or inspect.isclass(symbol)):
            continue
        made = BasicMarkdownRenderer(symbol, title_level=2)._repr_markdown_()
        body = re.sub(r"\A---\n+\[source\].*?\n+", "", made)
        line = inspect.getsourcelines(symbol)[1]
        parts.append(f"{body}\n\n[Source]({REPOSITORY}/malaria_nb/{module}.py#L{line})")
    return "\n\n".join(parts) + "\n"


def _words(node, known: dict[str, ast.AST]) -> str:
    "Return a string in the code, with … for what is filled in."
    if isinstance(node, ast.Name) and node.id in known:
        return _words(known[node.id], {})
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (v if isinstance(v, ast.Constant) else None for v in node.values)
        return "".join("…" if v is None else str(v.value) for v in parts)
    if isinstance(node, ast.IfExp):
        return " or ".join(filter(None, (_words(n, known) for n in (node.body, node.orelse))))
    if isinstance(node, ast.BinOp):
        return _words(node.left, known) + _words(node.right, known)
    return "…"


def _complaints(function: ast.FunctionDef) -> list[list[str]]:  # topic, status, found, mend
    "Read from one of the doctor's checks what it can complain of."
    topic, known, rows = "a package", {}, []
    nodes = [n for n in ast.walk(function) if isinstance(n, (ast.Assign, ast.Call))]
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset)):
        if isinstance(node, ast.Assign):
            if isinstance(node.targets[0], ast.Name):
                known[node.targets[0].id] = node.value
            continue
        name, args = getattr(node.func, "id", ""), node.args
        if name not in ("Check", "say", "partial"):
            continue
        if name != "say" and isinstance(args[name == "partial"], ast.Constant):
            topic = args[name == "partial"].value
        if name != "partial":
            says = [_words(a, known) for a in args][name == "Check" :]
            if len(says) == 3 and says[0] != "OK" and re.search(r"\w{4}", says[2]):
                rows.append([topic, *says])
    return rows


def doctor_says() -> str:
    "Return a table of all that `malaria-nb doctor` can complain of, read from its code."
    lines = ["| what | | it says | what mends it |", "|---|---|---|---|"]
    for function in ast.parse((ROOT / "malaria_nb" / "doctor.py").read_text("utf-8")).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith("_check_"):
            for row in _complaints(function):
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def tree(*entries: str, caption: str) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"])


def fold_wrong(cell):
    "Turn a wrong answer into folded text that opens with what it gets wrong."
    m = re.match(r"# (Wrong: .+)\n", cell.source)
    if not (m and cell.cell_type == "code"):
        return
    code = cell.source[m.end() :].rstrip()
    cell.update(
        cell_type="markdown",
        source=f"<details><summary>{html.escape(m[1])}</summary>\n\n"
        f"```python\n{code}\n```\n\n</details>",
    )
    for key in ("outputs", "execution_count"):
        cell.pop(key, None)
    cell.metadata.pop("jupyter", None)  # text is folded already


def name_folds(cells):
    "Say on each fold what is inside: an answer to the question above it, a table, code."
    asked = False
    for cell in cells:
        if cell.cell_type == "markdown":
            asked = "Predict" in cell.source
            continue
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        result = "figure" if "text/markdown" in kinds else "table" if "text/html" in kinds else ""
        tags = cell.metadata.get("tags", [])
        if "hide-input" in tags:
            inside = f"the code of this {result}" if result else "the code"
        elif asked:
            inside = "the answer"
        elif "hide-output" in tags:
            inside = f"the {result or 'output'}"
        else:
            inside = f"the code and its {result or 'output'}" if cell.outputs else "the code"
        cell.metadata["mystnb"] = {
            "code_prompt_show": f"Show {inside}",
            "code_prompt_hide": f"Hide {inside}",
        }


def neighbours(inside: Path) -> str:
    "Return links from an exercise to its solution, or back, and to their chapter."
    other = {"exercises": "solutions", "solutions": "exercises"}[inside.parent.name]
    return f"\n\n[The chapter](../{inside.name}) · [{other}](../{other}/{inside.name})"


def lay_out(out: Path, is_wanted: Callable[[Path], bool] = lambda path: True):
    "Write the source of the book, or of the notebooks and texts of it that are wanted."
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    chapters = list(filter(is_wanted, find_chapters(NBS)))
    sets = [
        p for folder in ("exercises", "solutions") for p in sorted((NBS / folder).glob("*.ipynb"))
    ]
    sets = list(filter(is_wanted, sets))
    texts = list(filter(is_wanted, sorted(NBS.glob("*.md"))))
    modules = [m for names in LAYERS.values() for m in names if m in MODULES]
    modules = [m for m in modules if is_wanted(ROOT / "malaria_nb" / f"{m}.py")]
    pages = {p.relative_to(ROOT).as_posix() for p in (*chapters, *sets, *texts)}
    lessons = {lesson.name: lesson for lesson in read_lessons(NBS)}
    for path in (*chapters, *sets):
        nb, inside = processed(path), path.relative_to(NBS)
        nb.metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        pictures(nb, "-".join(inside.with_suffix("").parts), out)
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = links(cell.source, f"nbs/{inside.parent}", pages)
            else:
                cell.source = MARKS.sub("", cell.source)
            fold_wrong(cell)
            folds = cell.metadata.get("jupyter", {})  # folded in JupyterLab, folded here
            source, outputs = folds.get("source_hidden"), folds.get("outputs_hidden")
            hides = {
                "remove-input": cell.metadata.get("transient", {}).get("remove_source"),
                "hide-cell": source and outputs,
                "hide-input": source and not outputs,
                "hide-output": outputs and not source,
            }
            if any(hides.values()):
                cell.metadata["tags"] = [tag for tag, on in hides.items() if on]
        name_folds(nb.cells)
        if inside.parent != Path():
            nb.cells[0].source += neighbours(inside)
        if inside.parent == Path() and path.stem in lessons:
            nb.cells.append(nbformat.v4.new_markdown_cell(ending(lessons[path.stem])))
        if path.stem == "index":
            FRONT["front"](nb)
            nb.cells.append(nbformat.v4.new_markdown_cell(contents(chapters, sets, texts, modules)))
        (out / inside).parent.mkdir(exist_ok=True)
        nbformat.write(nb, out / inside)
    for path in texts:
        (out / path.name).write_text(links(path.read_text("utf-8"), "nbs", pages), encoding="utf-8")
    (out / "troubleshooting.md").write_text(
        (DOCS / "troubleshooting.md").read_text("utf-8") + "\n" + doctor_says(), encoding="utf-8"
    )
    use = (DOCS / "use.md").read_text("utf-8").replace("](../nbs/", "](")
    (out / "use.md").write_text(use, encoding="utf-8")
    (out / "progress.md").write_text(progress_page(), encoding="utf-8")
    (out / "demo").mkdir()
    shutil.copy(
        DOCS / "demo.md", out / "demo" / "index.md"
    )  # holds the place, and the links to it, of the page that `build` makes
    (out / "reference").mkdir()
    for module in modules:
        (out / "reference" / f"{module}.md").write_text(reference(module), encoding="utf-8")
    shutil.copytree(DOCS / "_static", out / "_static")
    shutil.copytree(NBS / "images", out / "images", dirs_exist_ok=True)


def contents(chapters, sets, texts, modules) -> str:
    "Return the book's table of contents."

    def part(first, last):
        return [p.stem for p in chapters if first <= p.stem[:2] <= last and p.stem != "index"]

    def folder(name):
        return [f"{name}/{p.stem}" for p in sets if p.parent.name == name]

    trees = {
        "Part I: the article, rebuilt": part("00", "06"),
        "Part II: where the article stops": part("07", "69"),
        "The library's notebooks": part("70", "99"),
        "Exercises": folder("exercises"),
        "Solutions": folder("solutions"),
        "For everyone": ["demo/index", "progress", "troubleshooting", *(p.stem for p in texts)],
        "The library": ["use", *(f"reference/{m}" for m in modules)],
    }
    return "\n\n".join(
        tree(*entries, caption=caption) for caption, entries in trees.items() if entries
    )


def sphinx(
    builder: str, source: Path, to: Path, *options: str, conf: Path = DOCS
) -> int:  # exit status
    "Let Sphinx make `to`; every warning is an error."
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-b",
            builder,
            "-W",
            "--keep-going",
            "-q",
            *options,
            "-c",
            str(conf),
            "-d",
            f"{source}-doctrees",
            str(source),
            str(to),
        ]
    ).returncode


def main(out: Path):
    from demo import CantBuild, build  # only a run as a script finds its neighbour

    lay_out(out / "source")
    status = sphinx("html", out / "source", out / "html", "-j", "auto")
    FRONT["add_pictures"](out / "html" / "_static" / "front")
    try:
        build(out / "html" / "demo")
    except CantBuild as e:
        print(f"The book goes without the page that reads cells: {e}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_docs"))
