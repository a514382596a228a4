"""A page's head: what search engines and previews of a link show, and what the front page needs.

Title, description and picture of every page of the book. Nothing of it is fetched by a reader's
browser.
"""

import json
import re
from configparser import ConfigParser
from html import escape, unescape
from pathlib import Path

from docutils.nodes import block_quote, paragraph, section

ROOT = Path(__file__).resolve().parents[1]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]
SITE = settings["doc_host"] + settings["doc_baseurl"]
# what the front page asks: its subtitle
_first = json.loads((ROOT / "nbs" / "index.ipynb").read_text("utf-8"))["cells"][0]["source"]
QUESTION = re.search(r"^> (.+)$", "".join(_first), re.M)[1]


def _described(doctree) -> str:  # at most 200 characters
    "Return a page's subtitle, or its first paragraph: what a search engine and a preview show."
    kinds = (block_quote, paragraph)
    found = (n for kind in kinds for n in doctree.findall(kind) if isinstance(n.parent, section))
    words = " ".join(next(found, paragraph()).astext().split())
    return words if len(words) <= 200 else words[:199].rsplit(" ", 1)[0] + "…"


def _preview(app, pagename, templatename, context, doctree):
    "Say in a page's head what it is, for search engines and for previews of a link to it."
    if app.builder.name != "html":
        return
    about = _described(doctree) if doctree else ""
    if pagename == "index":
        about, context["docstitle"] = QUESTION, settings["title"]
        app.add_css_file("front.css")
        app.add_js_file("front.js", loading_method="defer")
    about = about or settings["description"]
    title = re.sub(r"<[^>]+>", "", context.get("title", app.config.html_title))
    page = "" if pagename == "index" else f"{pagename}.html"
    tags = [
        ("name", "description", about),
        ("property", "og:title", unescape(title)),
        ("property", "og:description", about),
        ("property", "og:type", "website" if pagename == "index" else "article"),
        ("property", "og:site_name", app.config.html_title),
        ("property", "og:url", f"{SITE}/{page}"),
        ("property", "og:image", f"{SITE}/_static/front/preview.jpg"),
        ("property", "og:image:width", "1200"),
        ("property", "og:image:height", "630"),
        ("property", "og:image:alt", "Red blood cells, some outlined by a network"),
        ("name", "twitter:card", "summary_large_image"),
    ]
    lines = [f'<meta {kind}="{name}" content="{escape(text)}">' for kind, name, text in tags]
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def setup(app):
    app.connect("html-page-context", _preview)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
