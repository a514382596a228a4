"""How Sphinx makes the book and the slides.

tools/book.py and tools/slides.py lay out their source and call Sphinx.
"""

import sys
from configparser import ConfigParser
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

settings = ConfigParser(delimiters=["="])
settings.read(Path(__file__).resolve().parents[1] / "settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]

project = settings["title"]
author = settings["author"]
copyright = settings["copyright"]
release = settings["version"]
language = "en"
smartquotes = False  # it would turn the two dashes of an option into one

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for pages.py and preview.py
extensions = ["myst_nb", "pages", "preview"]
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
html_title = "Medical image classification, honestly"
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "logo": {
        "image_light": "_static/logo-light.svg",
        "image_dark": "_static/logo-dark.svg",
        "text": settings["title"],
        "alt_text": "To the front page",
    },
    "repository_url": settings["git_url"],
    "repository_branch": settings["branch"],
    "path_to_docs": "nbs",
    "use_repository_button": True,
    "use_issues_button": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "toc_title": "On this page",
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
templates_path = ["_templates"]
# progress: the tick at a chapter's end, and the page of ticks
html_css_files = ["book.css", "brand.css", "progress.css"]
html_js_files = ["print.js", "pages.js", "progress.js"]
html_show_search_summary = False  # search.js shows prose instead, from a disk as well
html_search_scorer = str(Path(__file__).with_name("_static") / "scorer.js")
html_show_sourcelink = False
html_copy_source = False
html_last_updated_fmt = None

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


WORDS = {"launch-buttons": "Run", "source-buttons": "Source"}  # beside the theme's icons


def _name_buttons(app, pagename, templatename, context, doctree):
    buttons = context.get("header_buttons", [])
    for button in buttons:
        button["text"] = WORDS[button["label"]]
    buttons.append(
        {
            "type": "javascript",
            "javascript": "window.print()",
            "text": "Print",
            "icon": "fas fa-print",
            "tooltip": "Print this page, all folds open",
            "label": "print-button",
        }
    )


def setup(app):
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect(
        "html-page-context", _name_buttons, priority=600
    )  # after the theme has made its own


html_math_renderer = "mathml"
