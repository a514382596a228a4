"""Ask every address that chapters and pages link to whether it is still there. Needs a network.

python tools/links.py [FILE …]      # default: every notebook and page of the course

Exit status 1 when an address is dead or a place in a page is gone. A site that answers programs
with a refusal, and a page that has moved, are listed and cost nothing.
"""

import html
import json
import re
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import requests

ROOT = Path(__file__).resolve().parents[1]
settings = ConfigParser(delimiters=["="])
settings.read(ROOT / "settings.ini", encoding="utf-8")
GIT_URL = settings["DEFAULT"]["git_url"]
ADDRESS = re.compile(r"https?://[^\s<>\"'`\\\]{}|^…]+")
DOI = re.compile(r"\bdoi:\s?(10\.\d{4,}/[^\s<>\"'`\]{}|]+)")
HERE = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\]|[^/]*\bexample\.(org|com))([:/]|$)")
REFUSES = (401, 403, 405, 406, 418, 429, 451, 999)  # to programs, perhaps not to a reader
AGAIN = (429, 500, 502, 503, 504)  # may be well a moment later
HEADERS = {"User-Agent": f"malaria_nb-links (+{GIT_URL})", "Accept": "text/html,*/*;q=0.5"}
SECONDS, TRIES, MOST = 20, 3, 2_000_000  # of an answer; tries; bytes of a page that are searched


def texts(path: Path) -> list[str]:
    "Read what a person reads of a file: of a notebook its Markdown, of others everything."
    text = path.read_text("utf-8")
    if path.suffix != ".ipynb":
        return [text]
    cells = json.loads(text)["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]


def addresses(text: str) -> set[str]:
    "Find the addresses in a text, and DOIs, without the sentence's own marks behind them."
    found = set()
    for address in [*ADDRESS.findall(text), *(f"https://doi.org/{d}" for d in DOI.findall(text))]:
        address = html.unescape(address).rstrip(".,;:!?*_")
        while address.endswith(")") and address.count("(") < address.count(")"):
            address = address[:-1].rstrip(".,;:!?*_")
        if not HERE.match(address):
            found.add(address)
    return found


def sources() -> list[Path]:
    "List the files whose links readers follow."
    patterns = ("*.md", "docs/*.md", "docs/demo/*.html", "nbs/*.md", "nbs/*.ipynb", "settings.ini")
    patterns += ("nbs/exercises/*.ipynb", "nbs/solutions/*.ipynb", ".github/**/*.yml")
    return sorted({p for pattern in patterns for p in ROOT.glob(pattern)})


def own(address: str) -> str | None:  # "": is there; None: not one of ours
    "Look up an address in our repository on this disk, where it is before it is published."
    path = address.removeprefix(GIT_URL)
    if path == address:
        return None
    if m := re.match(r"/(?:blob|tree)/[^/]+/([^#?]*)", path):
        return "" if (ROOT / unquote(m[1])).exists() else "dead: no such file in the repository"
    return ""  # its issues and discussions are made by GitHub


def has_place(page: str, name: str) -> bool:
    "Tell whether a page has a place of that name."
    name = re.escape(html.escape(unquote(name)))
    return bool(re.search(rf"""\b(?:id|name)=["']?(?:user-content-)?{name}(?=["'\s>])""", page))


def ask(session: requests.Session, address: str) -> str:  # "": well; "dead: …"; "perhaps: …"
    "Ask for an address, again where a server has a bad moment."
    address, place = urldefrag(address)
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        try:
            answer = session.head(address, timeout=SECONDS, allow_redirects=True, headers=HEADERS)
            if place or answer.status_code >= 400:  # some servers know no HEAD
                answer = session.get(address, timeout=SECONDS, headers=HEADERS, stream=True)
        except requests.RequestException as e:
            if last:
                return f"dead: {type(e).__name__}"
            time.sleep(2**attempt)
            continue
        with answer:
            if answer.status_code in AGAIN and not last:
                wait = answer.headers.get("Retry-After", "")
                time.sleep(min(float(wait) if wait.isdigit() else 2**attempt, 30))
                continue
            return judged(answer, place)
    raise AssertionError("the last try returns")


def judged(answer: requests.Response, place: str) -> str:
    "Say what an answer means."
    status = answer.status_code
    if status in REFUSES:
        return f"perhaps: refused ({status})"
    if status >= 400:
        return f"dead: {status}"
    if place and "html" in answer.headers.get("Content-Type", ""):
        page = answer.raw.read(MOST, decode_content=True).decode("utf-8", "replace")
        if not has_place(page, place) and not page_is_drawn(page):
            return f"dead: the page has no place #{place}"
    if any(step.status_code in (301, 308) for step in answer.history):
        return f"perhaps: moved to {answer.url}"
    return ""


def page_is_drawn(page: str) -> bool:
    "Tell whether a page is made by a script after it has come, so that its places can't be seen."
    return len(re.sub(r"<script.*?</script>|<[^>]*>|\s", "", page, flags=re.S)) < 500


def check(found: dict[str, list[str]]) -> dict[str, str]:  # address: what is wrong
    "Ask for all, eight hosts at a time and one address of a host at a time."
    by_host, said = defaultdict(list), {}
    for address in sorted(found):
        if (known := own(address)) is not None:
            said[address] = known
        else:
            by_host[urlsplit(address).netloc].append(address)

    def host(mine: list[str]) -> dict[str, str]:
        with requests.Session() as session:
            return {address: ask(session, address) for address in mine}

    with ThreadPoolExecutor(8) as pool:
        for part in pool.map(host, by_host.values()):
            said |= part
    return said


def main(paths: list[Path]) -> int:  # exit status
    found = defaultdict(list)
    for path in paths:
        for address in set().union(*map(addresses, texts(path))):
            found[address].append(path.name)
    said = check(found)
    wrong = {address: why for address, why in said.items() if why}
    for address, why in sorted(wrong.items(), key=lambda item: item[1]):
        print(f"{why}\n    {address}\n    in {', '.join(sorted(set(found[address])))}")
    dead = [why for why in wrong.values() if why.startswith("dead")]
    asked = [why for address, why in said.items() if own(address) is None]
    if asked and all(why.startswith("dead") for why in asked):
        print("No address answers: is there a network?", file=sys.stderr)
    print(f"{len(said)} addresses in {len(paths)} files: {len(dead)} dead, ", end="")
    print(f"{len(wrong) - len(dead)} to look at")
    return int(bool(dead))


if __name__ == "__main__":
    sys.exit(main([Path(a) for a in sys.argv[1:]] or sources()))
