"""What the book's pages get beside what Sphinx and its theme give them.

A Sphinx extension: chapters' numbers, tables' numbers, figures in dark mode, a sidebar in parts,
the line *Run this page*, what the next page asks, and the prose that search shows.
"""

import functools
import html
import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from bs4 import BeautifulSoup
from docutils import nodes
from PIL import Image

NUMBERED = re.compile(r"(?:(exercises|solutions)/)?(\d\d)_\w+")
LESSON = re.compile(r"[0-6]\d_\w+")


# -- a chapter's number is its file's


def number_titles(app, doctree):
    "Put the chapter's number before the title, and keep what the neighbours say of it."
    name = app.env.docname
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is None or app.builder.name == "revealjs":
        return
    app.env.metadata[name]["why"] = _why(name, title)
    if m := NUMBERED.fullmatch(name):
        title.insert(0, [nodes.inline(text=m[2], classes=["number"]), nodes.Text(" ")])


def _why(name: str, title: nodes.title) -> str:
    "Return in one sentence what a page is for."
    if m := re.match(r"(exercises|solutions)/(\d\d)", name):
        return {
            "exercises": f"Try what chapter {m[2]} teaches.",
            "solutions": f"Chapter {m[2]}'s answers, and what wrong ones get wrong.",
        }[m[1]]
    below = title.next_node(
        lambda n: isinstance(n, (nodes.paragraph, nodes.section)),
        siblings=True,
        ascend=False,
        descend=True,
    )
    quoted = isinstance(getattr(below, "parent", None), nodes.block_quote)
    if isinstance(below, nodes.paragraph) and (quoted or name.startswith("reference/")):
        return below.astext()
    return ""


def say_why(app, pagename, templatename, context, doctree):
    "Below the titles of the page before and the page after stands what they are for."
    for way in ("prev", "next"):
        if there := context.get(way):
            name = _page_at(app, pagename, there["link"])
            if why := app.env.metadata.get(name, {}).get("why"):
                title = f'{there["title"]}<span class="why">{html.escape(why)}</span>'
                context[way] = {**there, "title": title}


def _page_at(app, pagename: str, link: str) -> str:
    "Return the name of the page that a link on another page leads to."
    parts = pagename.split("/")[:-1]
    for part in unquote(link).removesuffix(".html").split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


# -- numbers in tables

NUMBER = re.compile(r"[−+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?(?: ?%)?")
# an interval stands behind its number or alone; a table may say what could not be computed
SPAN = rf"[(\[]?{NUMBER.pattern}(?:, | to |–| – |…){NUMBER.pattern}[)\]]?"
NUMERIC = re.compile(rf"(?:[<>≤≥] )?{NUMBER.pattern}(?: {SPAN})?|{SPAN}|[Nn]a[Nn]|[–—-]?")
INTERVAL = re.compile(rf"{NUMBER.pattern} (?=[(\[]){SPAN}")
LONG = re.compile(r"([−+-]?)(\d{4,})(\.\d+)?")
NAMES = re.compile(
    r"\b(year|seed|id|identifier|photo|photograph|patient|smear|file|commit)\b", re.I
)
ROW_NAMES = re.compile(r"(year|seed|id|commit)s?", re.I)  # where a table lies on its side


def dress_table(table: str) -> str:  # HTML
    "Align numbers at their right end, and part their thousands, except in names: years, seeds."
    soup = BeautifulSoup(table, "html.parser")
    head = [list(row.find_all(["th", "td"])) for row in soup.select("thead tr")]
    body = [list(row.find_all(["th", "td"])) for row in soup.select("tbody tr")]
    # counted from the right, since an index that spans rows is missing in some of them on the left
    width = max((sum(c.name == "td" for c in row) for row in body), default=0)
    for back in range(1, width + 1):
        column = [row[-back] for row in body if len(row) >= back and row[-back].name == "td"]
        titles = [t for row in head if (t := _above(row, back))]
        texts = [cell.get_text(" ", strip=True) for cell in column]
        if not all(map(NUMERIC.fullmatch, texts)) or not any(re.search(r"\d", t) for t in texts):
            continue
        for cell in (*column, *(t for t in titles if not t.has_attr("colspan"))):
            cell["class"] = [*cell.get("class", []), "num"]
        named = any(NAMES.search(t.get_text(" ")) for t in titles)
        for cell, text in zip(column, texts):
            row = cell.find_parent("tr").find("th")
            if not (named or row and ROW_NAMES.fullmatch(row.get_text(strip=True))):
                _part_thousands(cell, text)
    _dress_index(head, body)
    _join_heads(head)
    _keep_intervals_whole(body)
    return str(soup)


def _join_heads(head: list):
    "Put the index's names into the columns' row, where pandas leaves room for them."
    if len(head) < 2:
        return
    names = [cell.get_text(strip=True) for cell in head[-1]]
    while names and not names[-1]:
        names.pop()
    columns = len(names) == len(head[-1])
    room, wide = head[-2][: len(names)], any(cell.has_attr("colspan") for cell in head[-2])
    if columns or wide or any(cell.get_text(strip=True) for cell in room):
        return
    for cell, name in zip(room, names):
        cell.string = name
    head[-1][0].find_parent("tr").decompose()


def _keep_intervals_whole(body: list):
    "A number and its interval stand in one line, however narrow the screen."
    for text in (t for row in body for cell in row for t in cell.find_all(string=INTERVAL)):
        kept = INTERVAL.sub(lambda m: f'<span class="whole">{m[0]}</span>', html.escape(text))
        text.replace_with(BeautifulSoup(kept, "html.parser"))


def _part_thousands(cell, text: str):
    if m := LONG.fullmatch(text):
        cell.string = f"{m[1]}{int(m[2]):,}{m[3] or ''}"


def _dress_index(head: list, body: list):
    "Part the thousands of an index that has a name; one without only numbers the rows."
    names = [cell.get_text(strip=True) for cell in head[-1]] if head else []
    while names and not names[-1]:
        names.pop()
    if not names or len(names) == len(head[-1]):  # the columns' names, not the index's
        return
    for row in body:
        cells = [cell for cell in row if cell.name == "th"]
        # a level that spans rows is written in the first of them only
        for name, cell in zip(names[::-1], cells[::-1]):
            if not NAMES.search(name):
                _part_thousands(cell, cell.get_text(strip=True))


def _above(row: list, back: int):
    "Return the heading over the column that is `back` from the right."
    for cell in reversed(row):
        back -= int(cell.get("colspan", 1))
        if back <= 0:
            return cell
    return None


# -- figures in dark mode


@functools.cache
def is_chart(path: Path) -> bool:
    """Tell a chart or a diagram, which dark mode may turn light for dark, from a picture of cells.

    A chart is drawn in some flat colours on white, more of them where bars shine through each
    other. A photograph has many colours, and cells are cut out on black. Whatever is in doubt
    counts as a picture, and stays as it is; only a picture that takes less than a twentieth of its
    figure would be missed.
    """
    if path.suffix != ".png":
        return path.suffix == ".svg"
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB")).astype(int).reshape(-1, 3)
    shades = np.bincount((rgb // 8) @ [1024, 32, 1]) / len(rgb)
    few = np.sort(shades)[::-1][:48].sum() > 0.96
    white = (rgb == 255).all(1).mean() > 0.5
    black = (rgb.max(1) < 40).mean() > 0.05
    return bool(few and white and not black)


def frame_picture(app, image: str, name: str) -> str:
    "Let keys reach a wide picture, which scrolls sideways, and say which ones are charts."
    source = next((s for s, (_, to) in app.env.images.items() if to == name), "")
    path = Path(app.srcdir) / source
    # on a phone a picture shrinks to eight tenths at most: its text stays readable (book.css)
    style = ""
    if source.endswith(".png"):
        with Image.open(path) as opened:
            style = f' style="--width: {opened.width}px"'
    kind = "picture chart" if source and is_chart(path) else "picture"
    return f'<span class="{kind}" tabindex="0"{style}>{image}</span>'


# -- the whole page


def break_names(text: str) -> str:  # HTML without tags
    "A long name may break after a dot, a slash or an underscore, and nowhere else."
    return re.sub(r"(?<=\w)([._/=(]+)(?=\w)", r"\1<wbr/>", text)


def _in_tags(pattern: str, text: str) -> str:
    return re.sub(pattern, lambda m: m[1] + break_names(m[2]) + m[3], text)


SHORT_CODE = 20  # letters that fit on any line


def dress_code(text: str) -> str:  # HTML
    "Keep a short word of code whole; a browser would part `--scale` after its dashes."

    def dressed(m):
        if len(html.unescape(m[1])) <= SHORT_CODE:
            return f'<span class="pre whole">{m[1]}</span>'
        return f'<span class="pre">{break_names(m[1])}</span>'

    return re.sub(r'<span class="pre">([^<]+)</span>', dressed, text)


def dress_page(app, pagename, templatename, context, doctree):
    "Dress tables, pictures and names, and say above a chapter how to run it."
    body = context.get("body")
    if not body:
        return
    body = re.sub(r"<table\b.*?</table>", lambda m: dress_table(m[0]), body, flags=re.S)
    without = re.compile(r"<table(?![^>]*\btabindex=)")
    body = without.sub('<table tabindex="0"', body)
    body = re.sub(
        r'<img\b[^>]*\bsrc="[^"]*_images/([^"]+)"[^>]*>',
        lambda m: frame_picture(app, m[0], unquote(m[1])),
        body,
    )
    body = dress_code(body)
    body = _in_tags(r"(<h[123]>)([^<]+)(<)", body)
    runs = LESSON.fullmatch(pagename) or pagename.startswith("exercises/")
    if runs and app.builder.name == "html":  # a slide has no room for it
        after = "</blockquote>" if LESSON.fullmatch(pagename) else "</h1>"
        body = body.replace(after, after + run_this_page(context, pagename, body), 1)
    context["body"] = body


def run_this_page(context, pagename: str, body: str) -> str:
    "Return links that open a chapter where it can be run."
    hosts = {
        b["text"]: b["url"]
        for group in context.get("header_buttons", [])
        for b in group.get("buttons", [])
        if b.get("text") in ("Colab", "Binder")
    }
    link = '<a class="place" href="{}" target="_blank" rel="noopener">{}</a>'
    links = "".join(
        link.format(html.escape(hosts[name]), name) for name in ("Colab", "Binder") if name in hosts
    )
    memory = [float(m) for m in re.findall(r"(\d\.\d) GB(?: of memory|\))", body)]
    tight = ""
    if memory and max(memory) >= 2:
        tight = f"<p>Binder lends about 2 GB of memory; this chapter takes {max(memory):.1f}.</p>"
    unstuck = context["pathto"]("troubleshooting")
    folder = pagename.rpartition("/")[0]
    notebook = f"{folder + '/' if folder else ''}{pagename.rpartition('/')[2]}.ipynb"
    return f"""
<div class="run-page" role="group" aria-label="Run this page">
<strong>Run this page</strong> {links}
<details class="own"><summary class="place">On your own machine</summary>
<div class="highlight" tabindex="0"><pre>pip install "malaria_nb[course]"
malaria-nb lab</pre></div>
<p>Then open <code>{break_names(notebook)}</code> in JupyterLab.
What each system needs first: <a href="{unstuck}">Getting unstuck</a>.</p>{tight}
</details>
</div>"""


# -- the sidebar

# what most readers don't come for; the part of the page that is shown is open all the same
CLOSED = ("The library's notebooks", "Exercises", "Solutions", "The library")
SHORT = re.compile(r"(Exercises|Solutions): |malaria_nb\.")


def fold_sidebar(app, pagename, templatename, context, doctree):
    "Make of each part of the sidebar a fold that keys can open."
    whole = context.get("generate_toctree_html")
    if whole is None:
        return

    @functools.cache
    def parts(*args, **kwargs):
        soup = whole(*args, **kwargs)
        if not hasattr(soup, "select"):
            return soup
        for caption in soup.select("p.caption"):
            entries = caption.find_next_sibling("ul")
            title = caption.get_text(strip=True)
            fold = soup.new_tag("details", attrs={"class": "part"})
            if title not in CLOSED or entries.select("li.current"):
                fold["open"] = ""
            summary = soup.new_tag("summary")
            summary.string = title
            caption.replace_with(fold)
            fold.extend([summary, entries.extract()])
            for link in entries.select("a"):
                for text in link.find_all(string=SHORT):
                    text.replace_with(SHORT.sub("", text))
        return soup

    context["generate_toctree_html"] = parts


# -- search


def prose(doctree) -> list[list[str]]:  # of each section its anchor and its text
    "Return a page's sentences: no code, output, table, or label of a fold."
    found = {}
    for paragraph in doctree.findall(nodes.paragraph):
        above, inside = paragraph.parent, None
        while above is not None and not isinstance(above, nodes.section):
            code = isinstance(above, nodes.container) and above.get("nb_element")
            inside = inside or code or isinstance(above, (nodes.table, nodes.raw))
            above = above.parent
        if above is not None and not inside and not paragraph.astext().startswith(("Source", "<")):
            text = " ".join(paragraph.astext().split())
            found.setdefault(above["ids"][0], []).append(text)
    return [[anchor, " ".join(texts)] for anchor, texts in found.items()]


def write_prose(app, exception):
    "Write what search shows of each page; from a disk it could not read the pages themselves."
    if exception or app.builder.name != "html":
        return
    pages = {name: prose(app.env.get_doctree(name)) for name in sorted(app.env.found_docs)}
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    (Path(app.outdir) / "_static" / "prose.js").write_text(f"window.PROSE = {text};\n", "utf-8")


def add_search(app, pagename, templatename, context, doctree):
    if pagename == "search":
        app.add_js_file("prose.js")
        app.add_js_file("search.js")


def setup(app):
    app.connect("doctree-read", number_titles, priority=400)  # before Sphinx reads the title
    app.connect("html-page-context", add_search)
    # after the theme has made its buttons and the sidebar
    for priority, dress in enumerate((say_why, dress_page, fold_sidebar), 700):
        app.connect("html-page-context", dress, priority=priority)
    app.connect("build-finished", write_prose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
