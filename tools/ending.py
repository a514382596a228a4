"""The end of each chapter in the book, and the page that shows what a reader has ticked there."""

import html
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import urlencode

from malaria_nb.progress import Left, Lesson, read_lessons

ROOT = Path(__file__).resolve().parents[1]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
GIT_URL = settings["DEFAULT"]["git_url"]


def discuss(name: str, title: str) -> dict[str, str]:  # label: address
    """Return where a chapter is talked about, with its title filled in.

    The category is one that GitHub makes with a repository's discussions; the issue's fields are
    those of .github/ISSUE_TEMPLATE/mistake.yml."""
    number = name[:2]
    said = f"{number} {title}"
    topic = {"category": "q-a", "title": f"{said}: "}
    issue = {"template": "mistake.yml", "title": f"{said}: ", "where": f"chapter {number}, "}
    return {
        "Discuss this chapter": f"{GIT_URL}/discussions/new?{urlencode(topic)}",
        "Report a mistake": f"{GIT_URL}/issues/new?{urlencode(issue)}",
    }


def ending(lesson: Lesson) -> str:  # HTML
    "Make what stands below a chapter: a tick for the reader, and where to talk."
    links = " · ".join(
        f'<a href="{html.escape(address)}">{label}</a>'
        for label, address in discuss(lesson.name, lesson.title).items()
    )
    return f"""<div class="chapter-end" data-chapter="{lesson.name}">
<p class="done"><button type="button" aria-pressed="false" hidden>Mark chapter {lesson.name[:2]} \
as done</button> <a href="progress.html">Your progress</a></p>
<p class="progress-said" role="status"></p>
<p>{links}</p>
</div>"""


def _takes(lessons: list[Lesson]) -> str:
    "Say how long exercises take."
    left = Left()
    for exercise in (e for lesson in lessons for e in lesson.exercises):
        left.minutes += exercise.minutes or 0
        left.evenings += exercise.minutes is None
    return str(left).removesuffix(" of exercises")


def _row(lesson: Lesson) -> str:  # HTML
    box = f"box-{lesson.name}"
    return f"""<li data-chapter="{lesson.name}">
<input type="checkbox" id="{box}" autocomplete="off">
<label for="{box}">{lesson.name[:2]} {html.escape(lesson.title)}</label>
<a href="{lesson.name}.html" aria-label="Open chapter {lesson.name[:2]}">open</a>
<span class="takes">exercises: {_takes([lesson])}</span>
<span class="day"></span>
</li>"""


OWN = (
    "A reader's own record of what they have read. Nobody has examined anyone: it is no "
    "certificate. The course is a teaching tool, not a medical device."
)


def _part(number: int, name: str, lessons: list[Lesson]) -> str:  # Markdown with HTML
    rows = "\n".join(map(_row, lessons))
    return f"""## {name}

<p class="part-said" data-part="{number}">{len(lessons)} chapters, about an hour of reading each; \
exercises: {_takes(lessons)}.</p>
<ul class="chapters" data-part="{number}">
{rows}
</ul>
<section class="sheet" data-part="{number}" aria-label="Summary of {html.escape(name)}" hidden>
<p class="sheet-title">{html.escape(name)}</p>
<p><label>Name <input type="text" autocomplete="off" maxlength="80"></label></p>
<p>has read these {len(lessons)} chapters of <em>malaria_nb, medical image classification, \
honestly</em>:</p>
<ol></ol>
<p class="own">{OWN}</p>
<p class="no-print"><button type="button" class="print">Print this sheet</button></p>
</section>
"""


def progress_page() -> str:  # Markdown with HTML
    "Make the page on which a reader sees what is ticked and what is next."
    parts: dict[str, list[Lesson]] = {}
    for lesson in read_lessons(ROOT / "nbs"):
        parts.setdefault(lesson.part, []).append(lesson)
    body = "\n".join(_part(n, name, lessons) for n, (name, lessons) in enumerate(parts.items(), 1))
    return f"""# Your progress

<div id="ticks-next">
<p id="progress-next" role="status">Tick a chapter when you are done with it, here or at its end. \
On paper, this page is a list to tick with a pen.</p>
<noscript><p>This browser runs no JavaScript, so nothing is kept: print the page.</p></noscript>
</div>

Your ticks are kept in this browser, on this computer. They are sent nowhere: this book has no \
server to send them to. Another browser, or a private window, knows nothing of them.

{body}
## Checks and files

Whether your exercises are right, only Python knows: `malaria-nb progress` shows which checks have \
passed, and `--html` makes a page of it that prints ([Getting unstuck](troubleshooting.md) says \
where that is kept). Firefox may give each page of a book that was opened from a folder a store \
of its own, so that ticks don't reach this page; on a web server, or in another browser, they do.

<p class="no-print"><button type="button" id="forget" hidden>Forget all my ticks</button></p>
"""
