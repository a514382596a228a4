"""tools/links.py, against a server of our own: what is dead is named, and nothing else fails."""

import json
import runpy
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONG = "word " * 200


class Site(BaseHTTPRequestHandler):
    asked = Counter()

    def answer(self):
        path = self.path
        Site.asked[self.command, path] += 1
        status = {"/gone": 404, "/forbidden": 403, "/broken": 500}.get(path, 200)
        if path == "/no-head" and self.command == "HEAD":
            status = 501
        if path == "/tired" and Site.asked[self.command, path] == 1:
            status = 503
        if path == "/old":
            self.send_response(301)
            self.send_header("Location", "/new")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = f"<html><h1 id='here'>{LONG}</h1></html>"
        if path == "/drawn":
            body = f"<html><script>{LONG}</script></html>"
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = answer

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    Site.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def links(monkeypatch):
    "The tool's names; it waits for nobody, and takes this machine for the world."
    found = runpy.run_path(str(ROOT / "tools" / "links.py"))
    names = found["ask"].__globals__
    monkeypatch.setattr(names["time"], "sleep", lambda seconds: None)
    names["HERE"] = names["re"].compile("(?!)")
    return found


def test_each_kind_of_answer_means_what_it_should(links, site):
    expected = {
        "/well": "",
        "/no-head": "",
        "/tired": "",
        "/well#here": "",
        "/drawn#anything": "",
        "/gone": "dead: 404",
        "/broken": "dead: 500",
        "/well#there": "dead: the page has no place #there",
        "/forbidden": "perhaps: refused (403)",
        "/old": f"perhaps: moved to {site}/new",
    }
    said = links["check"]({site + path: [] for path in expected})
    assert said == {site + path: why for path, why in expected.items()}
    assert Site.asked["HEAD", "/well"] >= 1 and Site.asked["GET", "/broken"] == 3
    assert links["check"]({"http://127.0.0.1:9/": []}) == {
        "http://127.0.0.1:9/": "dead: ConnectionError"
    }


def test_addresses_are_taken_from_prose_as_they_stand(links):
    text = (
        "See [a](https://a.org/x_(y)), <https://b.org/?q=1&amp;r=2>, https://c.org/p. "
        "*https://d.org/*; `pip --index https://e.org/simple` [f]: https://f.org/#g\n"
        "https://…/nothing and doi:10.1000/a(b)c."
    )
    assert links["addresses"](text) == {
        "https://a.org/x_(y)",
        "https://b.org/?q=1&r=2",
        "https://c.org/p",
        "https://d.org/",
        "https://e.org/simple",
        "https://f.org/#g",
        "https://doi.org/10.1000/a(b)c",
    }


def test_this_machine_and_examples_are_not_asked():
    found = runpy.run_path(str(ROOT / "tools" / "links.py"))["addresses"]
    assert found("http://127.0.0.1:8888/lab http://localhost:6006 https://example.org/a") == set()


def test_the_command_names_the_file_and_fails_for_a_dead_link_alone(links, site, tmp_path, capsys):
    cells = [
        {"cell_type": "markdown", "source": [f"[x]({site}/gone) and ", f"[y]({site}/old)"]},
        {"cell_type": "code", "source": f"'{site}/broken'"},
    ]
    notebook = tmp_path / "03_x.ipynb"
    notebook.write_text(json.dumps({"cells": cells}))
    assert links["main"]([notebook]) == 1
    out = capsys.readouterr().out
    assert f"dead: 404\n    {site}/gone\n    in 03_x.ipynb" in out and "/broken" not in out
    assert out.endswith("2 addresses in 1 files: 1 dead, 1 to look at\n")
    notebook.write_text(json.dumps({"cells": cells[1:]}))
    page = tmp_path / "page.md"
    page.write_text(f"{site}/old {site}/forbidden")
    assert links["main"]([notebook, page]) == 0
    page.write_text("http://127.0.0.1:9/a")
    assert links["main"]([page]) == 1 and "is there a network?" in capsys.readouterr().err


def test_links_to_our_own_repository_are_looked_up_on_disk(links):
    url = links["GIT_URL"]
    assert links["own"](f"{url}/blob/main/README.md#run-it") == ""
    assert links["own"](f"{url}/blob/main/nbs/99_none.ipynb").startswith("dead")
    assert links["own"](f"{url}/issues/new") == "" and links["own"]("https://a.org") is None


def test_the_course_links_to_no_file_of_ours_that_is_gone():
    tool = runpy.run_path(str(ROOT / "tools" / "links.py"))
    found = {a for p in tool["sources"]() for t in tool["texts"](p) for a in tool["addresses"](t)}
    assert len(found) > 40
    dead = {a for a in found if tool["own"](a)}
    assert dead == set()
