"""How Sphinx makes the book and the slides.

tools/book.py and tools/slides.py lay out their source and call Sphinx.
"""

import re
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import unquote

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from PIL import Image

settings = ConfigParser(delimiters=["="])
settings.read(Path(__file__).resolve().parents[1] / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]

project = settings["title"]
author = settings["author"]
copyright = settings["copyright"]
release = settings["version"]
language = "en"
smartquotes = False  # it would turn the two dashes of an option into one

extensions = ["myst_nb"]
nb_execution_mode = "off"  # the stored outputs are of real cells, which are not in the repository
nb_code_prompt_show = "Show the {type}"
nb_code_prompt_hide = "Hide the {type}"
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "mystnb.unknown_mime_type"
]  # the second form of an output, beside the one that is shown

html_theme = "sphinx_book_theme"
html_title = "malaria_nb: medical image classification, honestly"
html_theme_options = {
    "repository_url": settings["git_url"],
    "repository_branch": settings["branch"],
    "path_to_docs": "nbs",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
    "launch_buttons": {
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
        "notebook_interface": "jupyterlab",
    },
}
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["print.js"]
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None
# the tick at a chapter's end, and the page of ticks
html_css_files += ["progress.css"]
html_js_files += ["progress.js"]

# of the slides only
revealjs_style_theme = "white"
revealjs_static_path = ["_static"]
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {"hash": True, "slideNumber": "c/t"}
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]


def _formula(translator, node, display):
    tex = node.astext()
    translator.body.append(convert(tex, display=display))


def _inline(translator, node):
    _formula(translator, node, "inline")
    raise SkipNode


def _block(translator, node):
    translator.body.append('<div class="formula" tabindex="0">')
    _formula(translator, node, "block")
    translator.body.append("</div>")
    raise SkipNode


def _print_button(app, pagename, templatename, context, doctree):
    context.get("header_buttons", []).append(
        {
            "type": "javascript",
            "javascript": "window.print()",
            "text": "",
            "icon": "fas fa-print",
            "tooltip": "Print this page, all folds open",
            "label": "print-button",
        }
    )


def _width(app, name: str) -> int | None:  # pixels; None for a drawing without pixels
    source = next((s for s, (_, to) in app.env.images.items() if to == name), "")
    if not source.endswith(".png"):
        return None
    with Image.open(Path(app.srcdir) / source) as image:
        return image.width


def _keys_reach_what_scrolls(app, pagename, templatename, context, doctree):
    "A wide table or picture scrolls sideways: let keys reach it, whatever made it."

    def picture(m):
        width = _width(app, unquote(m[1]))
        # on a phone a picture shrinks to eight tenths at most: its text stays readable (book.css)
        style = f' style="--width: {width}px"' if width else ""
        return f'<span class="picture" tabindex="0"{style}>{m[0]}</span>'

    if "body" in context:
        without = re.compile(r"<table(?![^>]*\btabindex=)")
        body = without.sub('<table tabindex="0"', context["body"])
        context["body"] = re.sub(r'<img\b[^>]*\bsrc="[^"]*_images/([^"]+)"[^>]*>', picture, body)


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect(
        "html-page-context", _print_button, priority=600
    )  # after the theme has made its own
    app.connect("html-page-context", _keys_reach_what_scrolls)


html_math_renderer = "mathml"
