"""Draw the front page: its pictures, from the sample and the records, and its place in the book.

    python tools/front.py       # the pictures that index.ipynb and README.md show, in nbs/images

tools/book.py asks for the rest: the book's front page is docs/front.html, filled with what
nbs/index.ipynb, the chapters, their measured costs and the records say.
"""

import ast
import html
import json
import math
import re
import runpy
import shutil
import tempfile
import textwrap
from functools import cache
from io import BytesIO
from pathlib import Path
from string import Template

import cv2
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
from matplotlib.patheffects import withStroke
from scipy.special import expit

from malaria_nb.dataset import index_cells
from malaria_nb.evaluation import evaluate
from malaria_nb.external import evaluate_external
from malaria_nb.figures import COLORS
from malaria_nb.laboratories import read_chula
from malaria_nb.pictures import read_picture
from malaria_nb.records import load, read_table
from malaria_nb.sample import unpack_sample

ROOT = Path(__file__).resolve().parents[1]
NBS, DOCS = ROOT / "nbs", ROOT / "docs"
CHULA = NBS / "sample" / "chula"
FIELD = CHULA / "fields" / "312.jpg"
CREDIT = "Chula-RBC-12, field 312, © 2021 Chula PIC Lab, MIT licence"
MODEL = "compact"
THRESHOLD = 0.5
# what the reader's slider can be set to
THRESHOLDS = [round(0.05 + 0.01 * i, 2) for i in range(91)]
# sections of the index that docs/front.html shows in another form
FRAMED = (
    "Read, run, teach",
    "What you will be able to do",
    "What a score is worth",
    "The chapters",
)
# a chapter as long as one may be is an hour for a careful reader, half of it for the code
HOUR, STEP = 60, 5


# ---- the field


def outline(mask: np.ndarray, scale: int = 4) -> np.ndarray:  # (n, 2), pixels of the field
    "Draw a smooth line just outside of the largest piece of `mask`, uint8, 1 in a cell."
    large = cv2.resize(mask.astype(np.float32), None, fx=scale, fy=scale)
    soft = cv2.GaussianBlur(large, (0, 0), 1.5 * scale)
    inside = cv2.dilate((soft > 0.5).astype(np.uint8), np.ones((7, 7), np.uint8))
    lines = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    line = cv2.approxPolyDP(max(lines, key=cv2.contourArea), 1.2, True)[:, 0]
    return (line + 0.5) / scale - 0.5


def outlines(field: np.ndarray, middle: np.ndarray, reach: float) -> list[np.ndarray]:
    "Outline what is stained around each middle, (n, 2), up to half-way to the next one."
    green = cv2.GaussianBlur(np.ascontiguousarray(field[..., 1]), (5, 5), 0)
    dark = cv2.threshold(green, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1]
    rims = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    cv2.drawContours(dark, rims, -1, 1, cv2.FILLED)
    y, x = np.mgrid[: field.shape[0], : field.shape[1]]
    away = np.hypot(x - middle[:, :1, None], y - middle[:, 1:, None])
    nearest = away.argmin(axis=0)
    near = dark * (away.min(axis=0) < reach)
    return [outline((near * (nearest == i)).astype(np.uint8)) for i in range(len(middle))]


@cache
def read_field() -> pd.DataFrame:  # score (0–1), x, y (middle), outline: a row a whole red cell
    "Read the front page's field: a cell for each of its authors' points, and its recorded score."
    scores, points = read_table("15_external-chula").reset_index(), read_chula(CHULA)
    scores = scores[scores["file"] == FIELD.name]
    points = points[points["file"] == FIELD.name]
    middle = points[["x", "y"]] + points[["width", "height"]].to_numpy() / 2
    cells = points[["file", "box"]].assign(x=middle["x"], y=middle["y"])
    cells["outline"] = outlines(read_picture(FIELD), middle.to_numpy(), reach=30)
    cells = cells.merge(scores[["file", "box", "compact cut"]], on=["file", "box"])
    cells["score"] = expit(cells["compact cut"])
    return cells.sort_values("score").reset_index(drop=True)


def found_at(thresholds: list[float]) -> list[int]:  # parasitized cells in 100
    "Return the recorded sensitivity on test patients of the network that scored the field."
    cells = load(MODEL, "patient").predictions.query("split == 'test' and label == 1")
    return [round(100 * float((cells["score"] >= t).mean())) for t in thresholds]


def draw_field() -> bytes:  # JPEG, 1280 × 960
    "Draw the field with the network's calls at its own threshold."
    field, cells = read_picture(FIELD), read_field()
    height, width = field.shape[:2]
    fig = plt.figure(figsize=(width / 100, height / 100))
    ax = fig.add_axes((0, 0, 1, 1))
    ax.imshow(field, interpolation="lanczos", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    halo = [withStroke(linewidth=3, foreground="white")]
    for cell in cells.itertuples():
        called = cell.score >= THRESHOLD
        colour = COLORS["parasitized" if called else "uninfected"]
        x, y = np.vstack([cell.outline, cell.outline[:1]]).T
        ax.plot(x, y, color="white", lw=4 if called else 2.2, alpha=0.8)
        ax.plot(x, y, color=colour, lw=2.4 if called else 1.1)
        if called:
            place = ((x.min() + x.max()) / 2, min(y.max() + 8, height - 6))
            text = f"{cell.score:.2f}".lstrip("0")
            ax.annotate(
                text, place, ha="center", va="center", size=8, weight="bold", color="#9a3d00"
            )
            ax.texts[-1].set_path_effects(halo)
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    ax.set_axis_off()
    made = BytesIO()
    fig.savefig(made, format="jpeg", dpi=200, pil_kwargs={"quality": 85, "optimize": True})
    plt.close(fig)
    return made.getvalue()


# ---- one finding


@cache
def false_alarms() -> pd.DataFrame:  # where, detail; value, low, high (0–1)
    "Measure the network's false alarms among uninfected cells, in the places it has been to."
    iml, thai = (read_table(f"15_external-{name}").reset_index() for name in ("iml", "chula"))
    rows = {
        ("Bangladesh", "the hospital it learned from"): load(MODEL, "patient").metrics,
    }
    details = {1: "another laboratory", 2: "the same laboratory, within 40 minutes"}
    for run, detail in details.items():
        cells = iml[iml["run"] == run]
        label = (cells["kind"] != "red blood cell").astype(int)
        found = evaluate(label, expit(cells["compact cut"]), cells["file"], THRESHOLD)
        rows["Pakistan", detail] = found
    thai = thai[thai["compact cut"].notna()]
    none, score = np.zeros(len(thai), int), expit(thai["compact cut"])
    rows["Thailand", "where the photograph above was taken"] = evaluate_external(
        none, score, thai["file"], THRESHOLD
    )
    rates = 1 - pd.DataFrame({place: found.loc["specificity"] for place, found in rows.items()}).T
    rates = rates.rename(columns={"low": "high", "high": "low"}).astype(float)
    return rates.rename_axis(["where", "detail"]).reset_index()


def draw_alarms() -> bytes:  # SVG
    "Draw the false alarms as bars; the drawing follows the reader's light or dark mode."
    table, bars = false_alarms(), []
    for i, row in enumerate(table.itertuples()):
        y, per = 62 + 62 * i, 4.2
        start, end = (300 + 100 * per * v for v in (row.low, row.high))
        bars.append(
            f'<text class="place" x="0" y="{y + 4}">{row.where}</text>'
            f'<text class="soft" x="0" y="{y + 23}">{row.detail}</text>'
            f'<rect class="ground" x="300" y="{y - 10}" width="420" height="30" rx="4"/>'
            f'<rect class="bar" x="300" y="{y - 10}" width="{100 * per * row.value:.1f}" '
            f'height="30" rx="4"/>'
            f'<path class="range" d="M{start:.1f} {y + 5}H{end:.1f}M{start:.1f} {y - 1}v12'
            f'M{end:.1f} {y - 1}v12"/>'
            f'<text class="value" x="740" y="{y + 12}">{100 * row.value:.0f}</text>'
        )
    style = (
        "text{font-family:system-ui,sans-serif;fill:#1f2328}.soft{font-size:14px;fill:#59636e}"
        ".place{font-size:17px;font-weight:600}.value{font-size:22px;font-weight:700}"
        f".head{{font-size:15px}}.bar{{fill:{COLORS['parasitized']}}}.ground{{fill:#eceff2}}"
        ".range{stroke:#1f2328;stroke-width:2;fill:none}"
        "@media(prefers-color-scheme:dark){text{fill:#f0f3f6}.soft{fill:#b7bfc8}"
        ".ground{fill:#262c36}.bar{fill:#f08a3c}.range{stroke:#f0f3f6}}"
    )
    height = 50 + 62 * len(table)
    head = "False alarms in 100 uninfected cells, with 95 % intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 790 {height}" width="790" '
        f'height="{height}" role="img"><title>{head}</title><style>{style}</style>'
        f'<text class="head" x="300" y="26">{head}</text>{"".join(bars)}</svg>\n'
    ).encode()


# ---- the book's front page


def sections(nb) -> dict[str, list]:  # heading ("" above the first) -> cells
    "Divide the index by its headings of the second level, each of which begins a cell."
    found, name = {"": []}, ""
    for cell in nb.cells:
        heading = re.match(r"## (.+)", cell.source)
        if cell.cell_type == "markdown" and heading:
            name = heading[1]
        found.setdefault(name, []).append(cell)
    return found


def inline(text: str) -> str:
    "Turn the little Markdown that the index has inside a line into HTML."
    text = html.escape(text, quote=False)
    text = re.sub(
        r"\[([^]]+)\]\(([^)\s]+)\)", lambda m: f'<a href="{page_of(m[2])}">{m[1]}</a>', text
    )
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def page_of(target: str) -> str:
    "Return where a link of a chapter or a text leads in the book."
    return re.sub(r"\.(ipynb|md)\b", ".html", target)


def paragraphs(cells: list) -> list[str]:
    "Return the paragraphs of the Markdown cells."
    texts = [c.source for c in cells if c.cell_type == "markdown"]
    return [part.strip() for text in texts for part in re.split(r"\n\n+", text) if part.strip()]


def reading_minutes(path: Path, lessons: dict) -> int:
    "Estimate how long a careful reader takes; a chapter as long as one may be is an hour."
    size, cells = lessons["measure"](path), lessons["read"](path)
    shown = sum(lessons["is_shown"](cell) for cell in cells)
    full = size["words"] / lessons["WORDS"] + shown / lessons["CELLS"]
    return STEP * math.ceil(HOUR / 2 * full / STEP)


def chapters() -> list[dict]:  # number, title, subtitle, page, reads, runs (minutes)
    "Read of each chapter what its card says."
    lessons = runpy.run_path(str(ROOT / "tools" / "lessons.py"))
    found = []
    for path in sorted(NBS.glob("[0-6]*.ipynb")):
        first = json.loads(path.read_text("utf-8"))["cells"][0]["source"]
        title, subtitle = re.match(r"# (.+)\n\n> (.+)", "".join(first)).groups()
        found.append(
            {
                "number": path.stem[:2],
                "title": title,
                "subtitle": subtitle,
                "page": f"{path.stem}.html",
                "reads": reading_minutes(path, lessons),
                "runs": lessons["measured"](path.stem)[0],
            }
        )
    return found


def card(chapter: dict) -> str:
    "Return a chapter's card."
    runs = chapter["runs"]
    takes = "&lt; 1 min" if runs < 1 else f"{runs:.0f} min"
    title, subtitle = (html.escape(chapter[key], quote=False) for key in ("title", "subtitle"))
    return (
        f'<li class="front-card"><span class="front-number">{chapter["number"]}</span>'
        f'<h3><a href="{chapter["page"]}">{title}</a></h3><p>{subtitle}</p>'
        f'<p class="front-minutes"><span>{chapter["reads"]} min to read</span> '
        f"<span>{takes} to run</span></p></li>"
    )


def part(some: list[dict]) -> dict[str, str]:  # cards and hours
    "Return a part's cards, and how long it takes to read."
    hours = sum(c["reads"] for c in some) / 60
    return {"cards": "\n".join(map(card, some)), "hours": f"{hours:.0f}", "count": str(len(some))}


def overlay() -> str:  # SVG over the photograph
    "Return the outlines of the cells with their scores, drawn as the slider begins."
    drawn = []
    for cell in read_field().itertuples():
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in cell.outline)
        called = ' class="called"' if cell.score >= THRESHOLD else ""
        x, y = np.ptp(cell.outline[:, 0]) / 2 + cell.outline[:, 0].min(), cell.outline[:, 1].max()
        drawn.append(
            f'<g data-score="{cell.score:.4f}"{called}><path d="M{points}Z"/>'
            f'<text x="{x:.0f}" y="{min(y + 9, 474):.0f}">'
            f"{f'{cell.score:.2f}'.lstrip('0')}</text></g>"
        )
    return "".join(drawn)


def bars() -> str:
    "Return the false alarms as rows of a list, with bars."
    rows = []
    for row in false_alarms().itertuples():
        low, value, high = (100 * v for v in (row.low, row.value, row.high))
        digits = int(value < 10)
        rows.append(
            f'<li><span class="front-place"><strong>{row.where}</strong> {row.detail}</span>'
            f'<span class="front-bar" aria-hidden="true" style="--value: {value:.1f}%; '
            f'--low: {low:.1f}%; --high: {high:.1f}%"><i></i></span>'
            f'<span class="front-value"><strong>{value:.{digits}f}</strong> '
            f"<small>({low:.{digits}f} to {high:.{digits}f})</small></span></li>"
        )
    return "\n".join(rows)


def fields(nb) -> dict[str, str]:
    "Return what docs/front.html has a place for."
    parts, known = sections(nb), chapters()
    doors = {
        name.lower(): inline(text)
        for name, text in re.findall(
            r"^\| \*\*(\w+)\*\* \| (.+) \|$", parts["Read, run, teach"][0].source, re.M
        )
    }
    able = re.findall(r"^- (.+?)[,.]?$", parts["What you will be able to do"][0].source, re.M)
    head = paragraphs(parts[""])
    finding = paragraphs(parts["What a score is worth"])
    scores = read_field()["score"]
    commands = re.search(r"```sh\n((?:.|\n)+?)\n```", parts["Run it"][0].source)
    cells_text = paragraphs(parts["What you will be able to do"])[-1]
    given = {
        "question": inline(re.search(r"^> (.+)$", nb.cells[0].source, re.M)[1]),
        "story": inline(next(p for p in head if p.startswith("In 2019"))),
        "needs": inline(next(p for p in head if p.startswith("You need"))),
        "warning": inline(next(p for p in head if "medical device" in p)),
        **{f"door_{name}": text for name, text in doors.items()},
        "able": "\n".join(f"<li>{inline(text[0].upper() + text[1:])}.</li>" for text in able),
        "commands": html.escape(commands[1], quote=False),
        "cells": inline(cells_text),
        "finding": "\n".join(
            f"<p>{inline(p)}</p>" for p in finding if not p.startswith(("#", "!"))
        ),
        "bars": bars(),
        "overlay": overlay(),
        "count": str(len(scores)),
        "called": str(int((scores >= THRESHOLD).sum())),
        "threshold": f"{THRESHOLD:.2f}",
        "lowest": f"{THRESHOLDS[0]:.2f}",
        "highest": f"{THRESHOLDS[-1]:.2f}",
        "found": str(found_at([THRESHOLD])[0]),
        "found_at": json.dumps(found_at(THRESHOLDS)),
        "credit": CREDIT,
    }
    for name, first, last in (("one", "00", "06"), ("two", "07", "69")):
        some = part([c for c in known if first <= c["number"] <= last])
        given |= {f"{key}_{name}": value for key, value in some.items()}
    return given


def front(nb):
    "Replace in the index what the book's front page shows in another form."
    page = Template((DOCS / "front.html").read_text("utf-8")).substitute(fields(nb))
    title = re.match(r"# .+", nb.cells[0].source)[0]
    kept = [c for name, cells in sections(nb).items() if name and name not in FRAMED for c in cells]
    # MyST ends a block of HTML at an empty line
    block = "\n".join(line for line in page.splitlines() if line.strip())
    made = nbformat.v4.new_markdown_cell(f"{title}\n\n{block}")
    nb.cells = [made, *kept]
    nb.metadata["html_theme.sidebar_secondary.remove"] = "true"


# ---- its pictures


def cut_out(cell: np.ndarray, side: int = 176) -> np.ndarray:  # RGBA, uint8, (side, side, 4)
    "Take the black around a cell away, and bring the cell to a size."
    _, label, stats, _ = cv2.connectedComponentsWithStats((cell.max(axis=2) > 0) * np.uint8(1))
    own = label == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    # colour is spread into the black first, or it would darken the rim
    filled = cv2.inpaint(cell, np.uint8(~own), 2, cv2.INPAINT_TELEA)
    scale = (side - 8) / max(cell.shape[:2])
    size = [max(1, round(n * scale)) for n in cell.shape[1::-1]]
    colour = cv2.resize(filled, size, interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(cv2.resize(own.astype(np.float32), size), (0, 0), 2.5)
    alpha = (255 * (3 * (soft - 0.5) + 0.5).clip(0, 1)).astype(np.uint8)
    large = np.dstack([colour, alpha])
    box = np.zeros((side, side, 4), np.uint8)
    top, left = ((side - n) // 2 for n in large.shape[:2])
    box[top : top + large.shape[0], left : left + large.shape[1]] = large
    return box


def cut_outs() -> dict[str, bytes]:  # name -> WebP, six cells side by side on nothing
    "Cut the index's twelve cells out of the sample: parasitized, uninfected."
    made, drawn = {}, (NBS / "index.ipynb").read_text("utf-8")
    # patient, and which of that patient's parasitized cells
    chosen = ast.literal_eval(re.search(r"chosen = (\{.+?\})", drawn.replace("\\", ""))[1])
    with tempfile.TemporaryDirectory() as folder:
        root = unpack_sample(Path(folder) / "sample")
        cells = index_cells(root)
        for name, label in (("parasitized", 1), ("uninfected", 0)):
            strip = []
            for patient, place in chosen.items():
                own = cells.query("patient == @patient and label == @label").file.to_list()
                strip.append(cut_out(read_picture(root / own[place * label])))
            image = cv2.cvtColor(np.hstack(strip), cv2.COLOR_RGBA2BGRA)
            webp = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, 90])[1]
            made[f"{name}.webp"] = webp.tobytes()
    return made


def preview() -> bytes:  # JPEG, 1200 × 630, what is shown where somebody links to the book
    "Draw the field beside the course's name and question."
    first = json.loads((NBS / "index.ipynb").read_text("utf-8"))["cells"][0]["source"]
    title, question = re.match(r"# (.+)\n\n> (.+?\?)", "".join(first)).groups()
    field = plt.imread(BytesIO(draw_field()), format="jpeg")
    ground = "#14181c"
    fig = plt.figure(figsize=(12, 6.3), facecolor=ground)
    ax = fig.add_axes((0.45, 0, 0.55, 1))
    # as much of it as has the axes' shape
    ax.imshow(field[:, :1006])
    ax.set_axis_off()
    lines = {0.88: (title, 16, 33, "white"), 0.42: (question, 27, 19, "#d5dbe1")}
    for y, (text, width, size, colour) in lines.items():
        text = "\n".join(textwrap.wrap(text, width))
        weight = "bold" if size > 30 else "normal"
        fig.text(0.04, y, text, size=size, color=colour, weight=weight, va="top")
    fig.text(0.04, 0.08, "malaria_nb: a course in notebooks", size=15, color="#f2a7ad")
    made = BytesIO()
    fig.savefig(made, format="jpeg", dpi=100, pil_kwargs={"quality": 88}, facecolor=ground)
    plt.close(fig)
    return made.getvalue()


def add_pictures(folder: Path):
    "Write the pictures of the book's front page, and their notice, into `folder`."
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIELD, folder / "field.jpg")
    shutil.copy(CHULA / "LICENSE", folder / "LICENSE.txt")
    for name, content in cut_outs().items():
        (folder / name).write_bytes(content)
    (folder / "preview.jpg").write_bytes(preview())


def pictures() -> dict[str, bytes]:  # path below the repository -> content
    "Return the pictures that index.ipynb and README.md show."
    return {"nbs/images/front.jpg": draw_field(), "nbs/images/elsewhere.svg": draw_alarms()}


if __name__ == "__main__":
    for path, content in pictures().items():
        (ROOT / path).write_bytes(content)
