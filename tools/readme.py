"""Write README.md, and the pictures it shows, from nbs/index.ipynb and its stored outputs.

    python tools/readme.py

nbdev's own command for this needs Quarto; nbdev's processors and nbconvert do the same without.
"""

import base64
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

from malaria_nb.notebooks import processed

ROOT = Path(__file__).resolve().parents[1]
HEAD = "<!-- Made from nbs/index.ipynb by `make readme`: do not edit. -->\n\n"


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
    files["README.md"] = (HEAD + links(text).strip() + "\n").encode()
    return files


if __name__ == "__main__":
    for path, content in readme().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_bytes(content)
