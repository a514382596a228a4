"""How Sphinx makes the one long page that tools/paper.py prints as a PDF."""

import runpy
from pathlib import Path

_book = runpy.run_path(str(Path(__file__).resolve().parents[1] / "conf.py"))
_SAME = (
    *("project", "author", "copyright", "release", "language", "smartquotes"),
    *("nb_execution_mode", "nb_merge_streams", "nb_render_markdown_format"),
    *("myst_enable_extensions", "myst_heading_anchors", "suppress_warnings"),
)
globals().update({name: _book[name] for name in _SAME})

extensions = ["myst_nb"]
html_theme = "basic"
html_title = project  # noqa: F821
html_static_path = ["_static"]
html_css_files = ["paper.css"]
html_permalinks = False
html_use_index = False
html_math_renderer = "mathml"


def setup(app):
    app.add_html_math_renderer("mathml", (_book["_inline"], None), (_book["_block"], None))
