"""What the teacher's guide, the glossary and the slides quote of the chapters is there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"
LESSONS = sorted(NBS.glob("[0-6]*.ipynb"))
GUIDE = (NBS / "teaching.md").read_text("utf-8")
GLOSSARY = (NBS / "glossary.md").read_text("utf-8")
BY_NUMBER = {p.stem[:2]: p for p in LESSONS}


def markdown(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def headings(text):
    "Return the titles in a text, without their marks, and an exercise's also without its number."
    found = [re.sub(r"[*`]", "", h).strip() for h in re.findall(r"^#+ +(.+)$", text, re.M)]
    return {*found, *(re.sub(r"^\d+ +| *\([^)]*\)$", "", h) for h in found)}


def exercises(number):
    "Return the numbers of a chapter's exercises."
    text = markdown(NBS / "solutions" / BY_NUMBER[number].name)
    return set(re.findall(r"^## +(\d+)", text, re.M))


OWN = headings(GUIDE)
# a line of the guide that names chapters, with those that it names
LINES = [
    (line, numbers)
    for line in GUIDE.splitlines()
    if (numbers := set(re.findall(r"\[(\d\d)\]\(\d\d_\w+\.ipynb\)|^\| (\d\d) \|", line)))
    or (numbers := set(re.findall(r"\b(\d\d): (?:\*|exercise|\d)", line)))
]
LINES = [(line, {"".join(n) for n in numbers} & BY_NUMBER.keys()) for line, numbers in LINES]


def quoted(line):
    "Return what a line has in italics."
    text = re.sub(r"`[^`]*`|\*\*[^*]+\*\*", "", line)
    return re.findall(r"\*([^*]+)\*", text)


def missing(line, numbers):
    "Return what a line quotes in italics that is a title of none of its chapters."
    there = set(OWN)
    for number in numbers:
        there |= headings(markdown(BY_NUMBER[number]))
        there |= headings(markdown(NBS / "solutions" / BY_NUMBER[number].name))
    return [title for title in quoted(line) if title not in there]


@pytest.mark.parametrize("line, numbers", LINES, ids=lambda x: x[:30] if isinstance(x, str) else "")
def test_sections_that_the_guide_names_are_there(line, numbers):
    assert missing(line, numbers) == [], f"no such section or exercise in {sorted(numbers)}: {line}"


def test_a_section_that_is_not_there_is_noticed():
    line = "| [06](06_evaluation.ipynb): *Recap*, *The moon* | `*x*` **no** |"
    assert missing(line, {"06"}) == ["The moon"]


def test_exercises_that_the_guide_names_are_there():
    found = re.findall(r"\b(\d\d): ((?:\d, )*\d)\b(?!\d|:)", GUIDE)
    assert len(found) >= 8
    for number, listed in found:
        assert set(listed.split(", ")) <= exercises(number), f"chapter {number} has no {listed}"


def test_every_chapter_has_its_place_in_the_guide():
    links = set(re.findall(r"\]\((\d\d_\w+\.ipynb)\)", GUIDE))
    assert {p.name for p in LESSONS} <= links
    stumbles = GUIDE.partition("## Where classes stumble")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| (\d\d) \|", stumbles, re.M)) == set(BY_NUMBER)


# ---- the glossary


def anchor(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


TERMS = re.findall(r"^### (.+)$", GLOSSARY, re.M)


@pytest.mark.parametrize("path", [*LESSONS, *sorted(NBS.glob("solutions/*.ipynb"))], ids=str)
def test_terms_that_a_notebook_links_are_in_the_glossary(path):
    linked = set(re.findall(r"glossary\.md#([\w-]+)", markdown(path)))
    assert linked <= {anchor(term) for term in TERMS}


def test_the_glossary_is_in_order_and_has_each_term_once():
    for part in re.split(r"^## ", GLOSSARY, flags=re.M)[1:]:
        terms = [term.lower() for term in re.findall(r"^### (.+)$", part, re.M)]
        assert terms == sorted(set(terms)), "alphabetically, please"


def test_the_glossary_says_where_each_term_comes_from():
    for entry in re.split(r"^### ", GLOSSARY, flags=re.M)[1:]:
        links = re.findall(r"\[chapter (\d\d)\]\((\d\d)_\w+\.ipynb\)", entry)
        assert links and all(said == file for said, file in links), entry.splitlines()[0]


# ---- the slides


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_deck_has_questions_pictures_and_the_recap(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    slides = [c for c in cells if c["metadata"].get("slideshow", {}).get("slide_type") == "slide"]
    texts = ["".join(c["source"]) for c in slides]
    asked = sum("**Predict.**" in "".join(c["source"]) for c in cells)
    assert sum("**Predict.**" in text for text in texts) == asked, "each question is a slide"
    assert any("## Recap" in text for text in texts), "the recap is a slide"
    kinds = {k for c in slides for o in c.get("outputs", []) for k in o.get("data", {})}
    assert "image/png" in kinds, "a figure is a slide"
