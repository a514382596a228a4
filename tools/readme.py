"""Write README.md, and the pictures it shows, from nbs/index.ipynb and its stored outputs.

    python tools/readme.py

nbdev's own command for this needs Quarto; nbdev's processors and nbconvert do the same without.
"""

import base64
import re
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbconvert import MarkdownExporter

from malaria_nb.notebooks import processed

ROOT = Path(__file__).resolve().parents[1]
HEAD = "<!-- Made from nbs/index.ipynb by `make readme`: do not edit. -->"
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]


def links(
    text: str,  # Markdown whose links start at nbs/
) -> str:  # the same, seen from the top of the repository
    "Point links between chapters at nbs/, and links out of nbs/ at the top."

    def away(found):
        target = found[1]
        if re.match(r"[a-z]+:|#|nbs/", target):
            return found[0]
        return f"]({target[3:] if target.startswith('../') else 'nbs/' + target})"

    return re.sub(r"\]\(([^)\s]+)\)", away, text)


def badges() -> str:  # a line of Markdown; the book and JupyterLab, which work offline, have none
    "Return what GitHub shows below the title: tests, Pythons, licences, book and demo."
    first, end = (int(settings[key].split(".")[1]) for key in ("min_python", "max_python"))
    pythons = " | ".join(f"3.{minor}" for minor in range(first, end))
    book = settings["doc_host"] + settings["doc_baseurl"] + "/"
    made = {
        "Python": (pythons, "settings.ini"),
        "code": ("Apache-2.0", "LICENSE"),
        "prose": ("CC BY 4.0", "LICENSE-prose"),
        "book": ("read online", book),
        "demo": ("try it in the browser", f"{book}demo/"),
    }
    tests = f"{settings['git_url']}/actions/workflows/test.yml"
    found = [f"[![tests]({tests}/badge.svg)]({tests})"]
    for name, (text, target) in made.items():
        shown = quote(f"{name}-{text.replace('-', '--')}-8b2f3d")
        image = f"https://img.shields.io/badge/{shown}"
        found.append(f"[![{name}: {text}]({image})]({target})")
    return "\n".join(found)


def readme() -> dict[str, bytes]:  # path below the repository -> content
    "Return README.md and its pictures."
    notebook = processed(nbformat.read(ROOT / "nbs" / "index.ipynb", as_version=4))
    notebook.metadata["language_info"] = {"name": "python"}  # of the code blocks
    files = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(
                "text/html", None
            )  # a table that GitHub would strip of its style
            if "image/png" not in output.get("data", {}):
                continue
            path = f"nbs/images/index-{len(files) + 1}.png"
            files[path] = base64.b64decode(output.data["image/png"])
            output.data = {"text/markdown": f"![{output.metadata['image/png']['alt']}]({path})"}
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    title, subtitle, rest = links(text).strip().split("\n\n", 2)
    parts = [HEAD, title, subtitle, badges(), rest.strip()]
    files["README.md"] = ("\n\n".join(parts) + "\n").encode()
    return files


if __name__ == "__main__":
    for path, content in readme().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_bytes(content)
