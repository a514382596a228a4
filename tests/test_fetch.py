"""The download, against a real server on loopback that does everything a bad server can."""

import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_cells import name, png

from malaria_nb import archive as archives
from malaria_nb import fetch as fetching
from malaria_nb.archive import fetch_cells
from malaria_nb.audit import audit_cells
from malaria_nb.dataset import index_cells
from malaria_nb.fetch import fetch_file

QUICK = dict(timeout=(2, 0.4), retries=2, pause=0.01, progress=False)


def cell(folder, patient):
    return name(patient, cell=1 + (folder == "Parasitized"))


def archive(cells=4, side=120, **extra):
    "Bytes of an archive of `cells` cells a class (noise, so that it is large), and `extra`."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for i in range(cells):
            for k, c in enumerate(archives.FOLDERS):
                z.writestr(f"cell_images/{c}/{cell(c, i + 1)}", png(side, side, seed=2 * i + k))
        for k, v in extra.items():
            z.writestr(k, v)
    return file.getvalue()


WHOLE = archive()
SHA = hashlib.sha256(WHOLE).hexdigest()
HALF = len(WHOLE) // 2


ENDLESS = bytes(1 << 20)
PART = {"status": 206, "Content_Range": "bytes {at}-{n}/{n}"}


class Server(ThreadingHTTPServer):
    "Serves `data`; `script` says what to do with each request in turn, the last for all others."

    daemon_threads = True

    def __init__(self, data=WHOLE, script=("good",)):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data, self.script, self.asked, self.release = data, list(script), [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/cell_images.zip"
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def handle_error(self, *_):
        pass  # clients that go away are the point of these tests

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        srv, wanted = self.server, self.headers.get("Range")
        srv.asked.append(wanted)
        do = srv.script.pop(0) if len(srv.script) > 1 else srv.script[0]
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        if do == "hang up":
            self.close_connection = True
            self.connection.close()
            return
        if isinstance(do, dict):
            return self.anything(start=start, **do)
        if do in ("404", "503", "429"):
            self.send_error(int(do))
            return
        if do == "200 page":
            return self.reply(200, b"<html>Sign in to this hotel's network</html>")
        if do == "ignore range":
            return self.reply(200, srv.data)
        if do == "416" or (start and start >= len(srv.data)):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(srv.data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = srv.data[start:]
        if do == "corrupt":
            body = body[:-100] + bytes([body[-100] ^ 1]) + body[-99:]
        if do == "206 without range":
            return self.reply(206, body, start=None)
        if do == "two lengths":
            return self.reply(200, body, declare=f"{len(body)}, {len(body)}")
        if do == "wrong start":
            return self.reply(206, srv.data, start=0)
        if do == "die unannounced":
            return self.reply(206 if wanted else 200, body[:HALF], start, length=False)
        if do == "no length":
            return self.reply(206 if wanted else 200, body, start, length=False)
        sent = {"die": body[:HALF], "die at once": body[:0], "stall": body[:HALF]}.get(do, body)
        if do == "more":
            return self.reply(200, srv.data + b"more", length=False)
        if do == "slow":
            self.head(206 if wanted else 200, len(body), start)
            for i in range(0, len(body), 8192):
                self.wfile.write(body[i : i + 8192])
                if srv.release.wait(0.05):
                    return
            return
        self.reply(206 if wanted else 200, sent, start, declare=len(body))
        if do == "stall":
            srv.release.wait(5)

    def anything(self, start, status=200, send=None, to=None, slowly=0, **headers):
        "Send a status, headers as they are, and bytes of the file from `start` to `to`."
        self.send_response(status)
        for key, value in headers.items():
            text = value.format(at=start, n=len(self.server.data))
            self.send_header(key.replace("_", "-"), text)
        self.end_headers()
        body = self.server.data[start if status == 206 else 0 :] if send is None else send
        body = body if to is None else body[:to]
        while body and not self.server.release.wait(slowly):
            self.wfile.write(body[:64] if slowly else body)
            body = body[64:] if slowly else body if send is ENDLESS else b""
        self.close_connection = True

    def head(self, status, length, start):
        self.send_response(status)
        if status == 206 and start is not None:
            n = len(self.server.data)
            self.send_header("Content-Range", f"bytes {start}-{n - 1}/{n}")
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def reply(self, status, body, start=0, declare=None, length=True):
        self.head(status, (declare or len(body)) if length else None, start)
        self.wfile.write(body)
        self.close_connection = True


def fetch(url, to, **how):
    return fetch_cells(url, to, **{"sha256": SHA, "size": len(WHOLE), **QUICK, **how})


def part_of(to, data):
    to.mkdir(parents=True)
    (to / "cell_images.zip.part").write_bytes(data)


def left_in(folder):
    return {p.name for p in folder.iterdir() if p.suffix != ".lock"}


def whole(folder, n=8):
    assert len(index_cells(folder)) == n and audit_cells(None, folder, progress=False).empty
    assert left_in(folder.parent) == {"cell_images"}


# -- servers --------------------------------------------------------------------------------------


def test_good(tmp_path):
    with Server() as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [None]
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [None]  # the second start asks nobody


def test_default_place_is_named_by_content(home):
    with Server() as srv:
        assert fetch(srv.url, None, home=home) == home / f"cells-{SHA[:12]}" / "cell_images"


@pytest.mark.parametrize(
    "script, ranges",
    [
        (["die", "good"], [None, f"bytes={HALF}-"]),
        (["stall", "good"], [None, f"bytes={HALF}-"]),
        (["die", "ignore range"], [None, f"bytes={HALF}-"]),
        (["die", "wrong start", "good"], [None, f"bytes={HALF}-"]),
        (["hang up", "503", "good"], [None, None, None]),
        (["429", "good"], [None, None]),
        (["no length"], [None]),
        (["die at once", "good"], [None, None]),
        (["die unannounced", "good"], [None, f"bytes={HALF}-"]),
        (["206 without range", "good"], [None, None]),
        (["416", "good"], [None, None]),
        (["two lengths"], [None]),
    ],
    ids=lambda x: x[0] if isinstance(x[0], str) else "",
)
def test_recovers(tmp_path, script, ranges):
    with Server(script=script) as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        got = [r and ("bytes=" if r.startswith("bytes=") else r) for r in srv.asked]
        assert got == [r and "bytes=" for r in ranges]
        assert all(int(r[6:-1]) <= HALF for r in srv.asked if r)


def test_a_line_that_dies_often_gets_there(tmp_path, monkeypatch):
    "More deaths than retries, but each try brings new bytes."
    monkeypatch.setitem(globals(), "HALF", 70_000)
    big = archive(12, 150)
    with Server(big, script=["die"]) as srv:
        whole(
            fetch(srv.url, tmp_path / "to", sha256=hashlib.sha256(big).hexdigest(), size=len(big)),
            24,
        )
        assert len(srv.asked) > 5


@pytest.mark.parametrize(
    "script, message, tries",
    [
        (["hang up"], "gave up after 3 tries", 3),
        (["503"], "answered 503", 3),
        (["404"], "answered 404", 1),
        (["die at once"], "ended after 0 of|IncompleteRead", 3),
        (["200 page"], "web page", 1),
    ],
    ids=lambda x: x[0] if isinstance(x, list) else "",
)
def test_gives_up(tmp_path, script, message, tries):
    with Server(script=script) as srv:
        with pytest.raises(
            ConnectionError, match=f"{srv.url}.*({message}).*kept and the next start"
        ):
            fetch(srv.url, tmp_path / "to")
        assert len(srv.asked) == tries
    assert not (tmp_path / "to" / "cell_images").exists()


def test_stall_takes_its_time_limit(tmp_path):
    with Server(script=["stall", "hang up"]) as srv:
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            fetch(srv.url, tmp_path / "to", retries=0)
        assert time.monotonic() - start < 4
        assert (
            0 < (tmp_path / "to" / "cell_images.zip.part").stat().st_size <= HALF
        )  # kept for the next start


def test_no_server(tmp_path):
    with Server() as srv:
        url = srv.url
    with pytest.raises(ConnectionError, match="gave up"):
        fetch(url, tmp_path / "to", retries=0)


def test_corrupt(tmp_path):
    with Server(script=["corrupt"]) as srv:
        with pytest.raises(
            ValueError, match=f"expected {SHA}.*damaged or changed.*another address"
        ):
            fetch(srv.url, tmp_path / "to")
    assert not left_in(tmp_path / "to")


def test_wrong_hash_leaves_what_was_good(tmp_path):
    with Server() as srv:
        good = fetch(srv.url, tmp_path / "to")
    with Server(script=["corrupt"]) as srv:
        with pytest.raises(ValueError, match="holds cells of another archive"):
            fetch(srv.url, tmp_path / "to", sha256="0" * 64)
        assert not srv.asked
    whole(good)


def test_more_than_announced(tmp_path):
    with Server(script=["more"]) as srv:
        with pytest.raises(ConnectionError, match="more than"):
            fetch(srv.url, tmp_path / "to")
    assert (tmp_path / "to" / "cell_images.zip.part").stat().st_size <= len(WHOLE)


# -- a .part from an earlier start ----------------------------------------------------------------


def test_resumes_and_asks_only_for_the_rest(tmp_path):
    part_of(tmp_path / "to", WHOLE[:HALF])
    with Server() as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [f"bytes={HALF}-"]


def test_part_and_200_restarts(tmp_path):
    part_of(tmp_path / "to", WHOLE[:HALF])
    with Server(script=["ignore range"]) as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [
            f"bytes={HALF}-"
        ]  # not asked again: the reply itself was used from its start


@pytest.mark.parametrize(
    "data, asked",
    [
        (WHOLE, []),  # all there: only verified
        (WHOLE + b"too much", [None]),  # longer than the archive can be
        (
            b"x" * HALF,
            [f"bytes={HALF}-", None],
        ),  # another file's beginning: one more chance from zero
        (b"x" * len(WHOLE), [None]),
    ],
    ids=["whole", "longer", "foreign", "foreign, as long"],
)
def test_part_of_any_kind(tmp_path, data, asked):
    part_of(tmp_path / "to", data)
    with Server() as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == asked


@pytest.mark.parametrize(
    "data, asked",
    [(WHOLE, [f"bytes={len(WHOLE)}-"]), (WHOLE + b"!", [f"bytes={len(WHOLE) + 1}-", None])],
    ids=["whole", "longer"],
)
def test_416(tmp_path, data, asked):
    "Without a known size, only the server can say that nothing is left."
    part_of(tmp_path / "to", data)
    with Server() as srv:
        whole(fetch(srv.url, tmp_path / "to", size=None))
        assert srv.asked == asked


@pytest.mark.slow
def test_killed_while_downloading(tmp_path):
    big = archive(12, 150)
    sha = hashlib.sha256(big).hexdigest()
    with Server(big, script=["slow", "good"]) as srv:
        code = (
            "from malaria_nb.archive import fetch_cells\n"
            f"fetch_cells({srv.url!r}, {str(tmp_path / 'to')!r}, sha256={sha!r}, progress=False)"
        )
        child = subprocess.Popen([sys.executable, "-c", code])
        part, until = tmp_path / "to" / "cell_images.zip.part", time.monotonic() + 30
        while not (part.exists() and part.stat().st_size > 100_000):
            assert time.monotonic() < until and child.poll() is None
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        have = part.stat().st_size
        assert not (tmp_path / "to" / "cell_images").exists() and 100_000 < have < len(big)
        whole(fetch(srv.url, tmp_path / "to", sha256=sha, size=len(big)), 24)
        assert srv.asked == [None, f"bytes={have}-"]


@pytest.mark.slow
def test_killed_while_unpacking(tmp_path):
    (tmp_path / "a.zip").write_bytes(WHOLE)
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom malaria_nb import archive\n"
        "write, n = Path.write_bytes, []\n"
        "def until_the_fourth(self, data):\n    n.append(0)\n"
        "    if len(n) == 4: os.kill(os.getpid(), signal.SIGKILL)\n    return write(self, data)\n"
        "Path.write_bytes = until_the_fourth\n"
        f"archive.fetch_cells({str(tmp_path / 'a.zip')!r}, {str(tmp_path / 'to')!r})"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (tmp_path / "to" / "cell_images.part").exists() and not (
        tmp_path / "to" / "cell_images"
    ).exists()
    whole(fetch_cells(tmp_path / "a.zip", tmp_path / "to", progress=False))


def test_two_processes_fetch_once(tmp_path):
    with Server(script=["slow"]) as srv:
        code = (
            "from malaria_nb.archive import fetch_cells\n"
            f"fetch_cells({srv.url!r}, {str(tmp_path / 'to')!r}, sha256={SHA!r}, "
            f"size={len(WHOLE)}, progress=False)"
        )
        two = [
            subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [p.communicate(timeout=60) for p in two]
        assert [p.returncode for p in two] == [0, 0], said
        assert srv.asked == [None]
    whole(tmp_path / "to" / "cell_images")


# -- lines and servers at their worst -------------------------------------------------------------


@pytest.mark.parametrize("breath", [900, 20_000, 60_000])
@pytest.mark.parametrize("length", ["{n}", None], ids=["announced", "not announced"])
def test_a_line_of_short_breath_gets_there(tmp_path, breath, length):
    "Whatever came is kept, even where it is less than is read at once."
    data = WHOLE[: 40 * breath]
    more = {"Content_Length": length} if length else {}
    first = {"to": breath, **more}
    with Server(data, [first, {**PART, "to": breath}]) as srv:
        sha = hashlib.sha256(data).hexdigest()
        how = QUICK | {"retries": 0, "pause": 0}
        size = None if length else len(data)
        fetch_file(srv.url, tmp_path / "a", sha256=sha, size=size, **how)
        assert len(srv.asked) == -(-len(data) // breath)
        assert srv.asked[-1] == f"bytes={len(data) - (len(data) % breath or breath)}-"


def test_a_stalled_line_keeps_what_came(tmp_path):
    with Server(script=[{"slowly": 0.01, "Content_Length": "{n}", "to": 640}, "hang up"]) as srv:
        with pytest.raises(ConnectionError):
            fetch(srv.url, tmp_path / "to", retries=0)
    assert (tmp_path / "to" / "cell_images.zip.part").stat().st_size == 640


@pytest.mark.parametrize(
    "length",
    [
        *("{n}, {n}", "+{n}", "-1", "0x10", "1_000", "12abc", "", "9" * 5000, "1e9", "٣"),
        *("{n}.0", "{n}, 7", " "),
    ],
)
def test_an_odd_length_is_no_reason_to_fail(tmp_path, length):
    sent = length.encode().decode("latin-1")
    with Server(script=[{"Content_Length": sent}, {}]) as srv:
        whole(fetch(srv.url, tmp_path / "to"))


PAGE = b"<!DOCTYPE html><html>Sign in to this hotel's network</html>"
PORTALS = {
    "html": {"send": PAGE, "Content_Type": "text/html; charset=utf-8"},
    "html of a length": {"send": PAGE, "Content_Type": "TEXT/HTML", "Content_Length": "59"},
    "no type": {"send": PAGE},
    "blanks first": {"send": b"\r\n \t" + PAGE, "Content_Type": "application/zip"},
}


@pytest.mark.parametrize("size", [len(WHOLE), None], ids=["size", "no size"])
@pytest.mark.parametrize("kind", PORTALS)
def test_a_captive_portals_page_is_not_kept(tmp_path, kind, size):
    part = tmp_path / "to" / "cell_images.zip.part"
    with Server(script=[PORTALS[kind]]) as srv:
        with pytest.raises(ConnectionError, match="web page|file has 59 bytes"):
            fetch(srv.url, tmp_path / "to", size=size)
        assert len(srv.asked) == 1 and not (part.exists() and part.stat().st_size)
    part.write_bytes(WHOLE[:HALF])
    with Server(script=[PORTALS[kind]]) as srv:
        with pytest.raises(ConnectionError):
            fetch(srv.url, tmp_path / "to", size=size)
        assert part.read_bytes() == WHOLE[:HALF], "what had come before is still there"
    with Server() as srv:
        whole(fetch(srv.url, tmp_path / "to", size=size))
        assert srv.asked == [f"bytes={HALF}-"]


def test_a_page_that_is_the_file_is_fetched(tmp_path):
    how = {**QUICK, "sha256": hashlib.sha256(PAGE).hexdigest()}
    with Server(script=[PORTALS["html"]]) as srv:
        assert fetch_file(srv.url, tmp_path / "a.html", **how).read_bytes() == PAGE


@pytest.mark.parametrize(
    "script",
    [
        {**PART, "to": 1000},  # less than was asked for
        {**PART, "Content_Range": "bytes {at}-{n}/*"},
        {**PART, "Content_Range": "bytes 0-{n}/{n}", "send": WHOLE},  # from the start again
        {"status": 206},
        {"status": 206, "Content_Range": "bytes 999999-{n}/{n}"},
        {"status": 206, "Content_Range": "bytes x-y/z"},
        {"status": 206, "Content_Range": f"bytes {'9' * 5000}-1/2"},
        {**PART, "Content_Encoding": "gzip", "send": b"no gzip"},
        {"status": 416, "send": b""},
        {"status": 416, "Content_Range": "bytes */{n}", "send": b""},
        {"status": 416, "Content_Range": "bytes */7", "send": b""},
        {"status": 200, "to": HALF},
        {"ETag": "'another'", "to": HALF - 5},
    ],
)
def test_an_odd_answer_costs_nothing_of_what_has_come(tmp_path, script):
    part_of(tmp_path / "to", WHOLE[:HALF])
    part = tmp_path / "to" / "cell_images.zip.part"
    with Server(script=[script]) as srv:
        try:
            return whole(fetch(srv.url, tmp_path / "to", retries=0))
        except ConnectionError:
            assert part.read_bytes()[:HALF] == WHOLE[:HALF]
    with Server(script=[script, "ignore range"]) as srv:
        whole(fetch(srv.url, tmp_path / "to"))


def test_a_file_that_changes_on_the_server_comes_whole(tmp_path):
    "Its first half is here; then another file is published under the address, and is the right one"
    part_of(tmp_path / "to", bytes(HALF))
    with Server(script=[{**PART, "ETag": "'2'"}, {"ETag": "'2'"}]) as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [f"bytes={HALF}-", None]


def test_tags_that_differ_between_mirrors_cost_no_byte(tmp_path):
    script = [{"to": HALF, "Content_Length": "{n}", "ETag": "'1'"}, {**PART, "ETag": "'2'"}]
    with Server(script=script) as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [None, f"bytes={HALF}-"]


def test_what_is_packed_on_its_way_is_unpacked(tmp_path):
    packed = gzip.compress(WHOLE)
    script = [{"send": packed, "to": len(packed) // 2}, {"send": packed}]
    script = [d | {"Content_Encoding": "gzip"} for d in script]
    with Server(script=script) as srv:
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked == [None, None]


@pytest.mark.parametrize("size", [len(WHOLE), None], ids=["size", "no size"])
def test_a_server_that_never_stops_fills_no_disk(tmp_path, monkeypatch, size):
    monkeypatch.setattr(fetching, "MOST", 3 << 20)
    with Server(script=[{"send": ENDLESS}]) as srv:
        with pytest.raises(ConnectionError, match="more than the"):
            fetch(srv.url, tmp_path / "to", size=size)
        assert len(srv.asked) == 1
    left = [p.stat().st_size for p in (tmp_path / "to").iterdir()]
    assert sum(left) <= (size or 0)


def test_a_server_that_packs_zeros_fills_no_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MOST", 3 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    with Server(script=[{"send": bomb, "Content_Encoding": "gzip"}]) as srv:
        with pytest.raises(ConnectionError, match="more than the"):
            fetch(srv.url, tmp_path / "to", size=None)
    assert not left_in(tmp_path / "to")


def test_a_length_beyond_the_disk_or_reason_is_refused_at_once(tmp_path):
    for length, says in (
        ("99999999999999", "more than the 1,073,741,824"),
        ("1073741825", "size="),
    ):
        with Server(script=[{"Content_Length": length}]) as srv:
            with pytest.raises(ConnectionError, match=says):
                fetch(srv.url, tmp_path / "to", size=None)
            assert len(srv.asked) == 1
    with Server(script=[{"Content_Length": "99999999999999"}]) as srv:
        with pytest.raises(OSError, match="is full"):
            fetch(srv.url, tmp_path / "to", size=99999999999999)
    assert not left_in(tmp_path / "to")


def test_a_dripping_server_is_given_up(tmp_path):
    "64 bytes every 0.1 s are some progress, and would take a week."
    with Server(script=[{"slowly": 0.1, "Content_Length": "{n}"}]) as srv:
        with pytest.raises(ConnectionError, match="slower than.*gave up after 2 tries"):
            fetch(srv.url, tmp_path / "to", retries=1)
        assert len(srv.asked) == 2
    assert 0 < (tmp_path / "to" / "cell_images.zip.part").stat().st_size < 10_000


class Dripping(Handler):
    def do_GET(self):
        self.server.asked.append(None)
        for byte in b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 60_000:
            if self.server.release.wait(0.05):
                return
            self.wfile.write(bytes([byte]))


def test_headers_that_drip_are_given_up(tmp_path):
    with Server() as srv:
        srv.RequestHandlerClass = Dripping
        with pytest.raises(ConnectionError, match="no answer within 0.6 seconds"):
            fetch(srv.url, tmp_path / "to", retries=0, timeout=(0.2, 0.4))


# -- elsewhere ------------------------------------------------------------------------------------


def moved(to, **more):
    return {"status": 302, "Location": to, "send": b"", **more}


def test_a_redirect_is_followed_with_the_range(tmp_path):
    part_of(tmp_path / "to", WHOLE[:HALF])
    with Server() as good, Server() as first:
        first.script = [moved(good.url)]
        whole(fetch(first.url, tmp_path / "to"))
        assert good.asked == [f"bytes={HALF}-"]


@pytest.mark.parametrize(
    "to, tries",
    [("", 10), ("file:///etc/passwd", 1), ("ftp://x/a", 1), ("http://:x/", 1), ("//[", 1)],
)
def test_a_redirect_that_leads_nowhere_is_refused_at_once(tmp_path, to, tries):
    with Server() as srv:
        srv.script = [moved(to or srv.url)]
        with pytest.raises(ConnectionError, match="kept and the next start"):
            fetch(srv.url, tmp_path / "to")
        assert len(srv.asked) == tries


def test_the_page_of_a_redirect_is_not_read(tmp_path):
    with Server() as good, Server() as first:
        first.script = [moved(good.url, send=ENDLESS)]
        whole(fetch(first.url, tmp_path / "to"))


# -- one file -------------------------------------------------------------------------------------


def test_one_file_by_either_hash(tmp_path):
    md5 = hashlib.md5(WHOLE).hexdigest()
    with Server() as srv:
        one = fetch_file(srv.url, tmp_path / "new" / "a.h5", md5=md5, **QUICK)
        two = fetch_file(srv.url, tmp_path / "new" / "b.h5", sha256=SHA, **QUICK)
        assert one.read_bytes() == two.read_bytes() == WHOLE
        assert fetch_file(srv.url, one, md5=md5, **QUICK) == one and len(srv.asked) == 2
    assert left_in(tmp_path / "new") == {"a.h5", "b.h5"}


@pytest.mark.parametrize("hashes", [{}, {"sha256": SHA, "md5": "0" * 32}], ids=["none", "two"])
def test_one_file_needs_one_hash(tmp_path, hashes):
    with pytest.raises(ValueError, match="give the file's hash"):
        fetch_file("http://127.0.0.1:1/a", tmp_path / "a", **hashes)


def test_another_file_in_its_place_stays_until_the_right_one_is_here(tmp_path):
    (tmp_path / "a").write_bytes(b"another")
    with Server(script=["404", "good"]) as srv:
        with pytest.raises(ConnectionError, match="answered 404"):
            fetch_file(srv.url, tmp_path / "a", sha256=SHA, **QUICK)
        assert (tmp_path / "a").read_bytes() == b"another"
        fetch_file(srv.url, tmp_path / "a", sha256=SHA, **QUICK)
    assert (tmp_path / "a").read_bytes() == WHOLE


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_a_planted_link_is_not_written_through(tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    part = tmp_path / "a.part"
    if kind == "link":
        part.symlink_to(victim)
    elif kind == "hard link":
        part.hardlink_to(victim)
    else:
        os.mkfifo(part)
    with Server() as srv:
        fetch_file(srv.url, tmp_path / "a", sha256=SHA, **QUICK)
    assert victim.read_bytes() == b"precious" and not (tmp_path / "a").is_symlink()


# -- mirrors --------------------------------------------------------------------------------------


def test_mirrors_in_order(tmp_path):
    with (
        Server(script=["404"]) as gone,
        Server(script=["corrupt"]) as bad,
        Server() as good,
        Server() as spare,
    ):
        whole(fetch([gone.url, bad.url, good.url, spare.url], tmp_path / "to"))
        assert [len(s.asked) for s in (gone, bad, good, spare)] == [1, 1, 1, 0]


def test_the_next_mirror_goes_on_where_the_first_died(tmp_path):
    with Server(script=["die", "hang up"]) as first, Server() as second:
        whole(fetch([first.url, second.url], tmp_path / "to"))
        assert len(second.asked) == 1 and second.asked[0].startswith("bytes=")


def test_all_mirrors_fail(tmp_path):
    with Server(script=["404"]) as one, Server(script=["corrupt"]) as two:
        with pytest.raises(ValueError) as e:
            fetch([one.url, two.url], tmp_path / "to")
    assert "answered 404" in str(e.value) and "SHA-256" in str(e.value) and "\n" not in str(e.value)


def test_mirrors_of_all_kinds(tmp_path):
    (tmp_path / "a.zip").write_bytes(WHOLE)
    whole(fetch_cells([tmp_path / "missing", tmp_path / "a.zip"], tmp_path / "to", progress=False))
    with pytest.raises(ValueError, match="no source"):
        fetch_cells([])


def test_an_address_must_bring_the_official_archive(tmp_path):
    with Server() as srv:
        with pytest.raises(ConnectionError, match="bytes, expected 353,452,851"):
            fetch_cells(srv.url, tmp_path / "to", **QUICK)


# -- zip files and folders ------------------------------------------------------------------------


def unpack(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    return fetch_cells(tmp_path / "a.zip", tmp_path / "in" / "to", progress=False)


def test_only_cells_come_out(tmp_path):
    evil = png(seed=99)
    at = "cell_images/Parasitized/"
    nasty = [
        f"cell_images/cell_images/Parasitized/{name(8)}",
        f"/{at}{name(9)}",
        f"{at}../../../{name(10)}",
        f"{at}../{name(11)}",
        f"../{name(12)}",
        f"{at}sub/{name(13)}",
        f"cell_images\\Parasitized\\{name(14)}",
        f"{at}C:{name(15)}",
        f"{at}..\\{name(16)}",
        f"Parasitized/{name(17)}",
        f"cell_images/parasitized/{name(18)}",
        f"{at}._{name(19)}",
        f"__MACOSX/{at}{name(20)}",
        f"{at}Thumbs.db",
        f"{at}.png",
        f"{at}evil.py",
    ]
    got = unpack(tmp_path, archive(2, 5, **{n: evil for n in nasty}))
    assert sorted(
        p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.p*") if p.is_file()
    ) == sorted(f"in/to/cell_images/{c}/{cell(c, i)}" for c in archives.FOLDERS for i in (1, 2))
    assert {p.name for p in got.iterdir()} == {"Parasitized", "Uninfected", "source.json"}


def declare(data, **fields):
    "Change what the archive's directory says of its first member, and nothing else."
    at, where = data.index(b"PK\1\2"), {"flags": (8, 2), "packed": (20, 4), "size": (24, 4)}
    out = bytearray(data)
    for k, v in fields.items():
        out[at + where[k][0] : at + sum(where[k])] = v.to_bytes(where[k][1], "little")
    return bytes(out)


@pytest.mark.parametrize(
    "data, message",
    [
        (WHOLE[:HALF], "not a whole zip"),
        (b"", "not a whole zip"),
        (b"<html>", "not a whole zip"),
        (WHOLE[:1000] + b"\0\0\0" + WHOLE[1003:], "not a whole zip.*CRC"),
        (archive(0, **{"readme.txt": b"hi"}), "no cell_images/Uninfected/"),
        (archive(0, **{f"cell_images/Uninfected/{name(1)}": png()}), "no cell_images/Parasitized/"),
        (declare(WHOLE, size=100), "not a whole zip"),  # more bytes in it than declared
        (declare(WHOLE, size=100_000), "not a whole zip.*is cut short"),  # fewer
        (declare(WHOLE, size=2**31), "claims 2,147,483,648 bytes"),
        (declare(WHOLE, flags=1), "encrypted"),
        (declare(WHOLE, packed=2**31), "overlap"),
    ],
    ids=[
        "half",
        "empty",
        "page",
        "damaged",
        "no cells",
        "one class",
        "more",
        "fewer",
        "bomb",
        "locked",
        "overlap",
    ],
)
def test_archives_refused(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        unpack(tmp_path, data)
    assert not left_in(tmp_path / "in" / "to")
    assert (tmp_path / "a.zip").read_bytes() == data


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice(tmp_path):
    file = io.BytesIO(WHOLE)
    with zipfile.ZipFile(file, "a") as z:
        z.writestr(f"cell_images/Uninfected/{cell('Uninfected', 1)}", png())
    with pytest.raises(ValueError, match="twice"):
        unpack(tmp_path, file.getvalue())


def test_never_more_bytes_than_declared(tmp_path, monkeypatch):
    "Even from a member whose checksum vouches for the short form."
    short, file = png(20, 20), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        for c in archives.FOLDERS:
            z.writestr(f"cell_images/{c}/{name(1)}", short + bytes(5_000_000))
    data = bytearray(file.getvalue())
    at = data.index(b"PK\1\2")
    data[at + 16 : at + 20] = zlib.crc32(short).to_bytes(4, "little")
    data[at + 24 : at + 28] = len(short).to_bytes(4, "little")
    try:
        got = unpack(tmp_path, bytes(data))
    except ValueError:
        return
    assert (got / "Uninfected" / name(1)).stat().st_size <= len(short)


def test_local_zip_is_kept_and_its_hash_checked(tmp_path):
    whole(unpack(tmp_path, WHOLE))
    assert (tmp_path / "a.zip").read_bytes() == WHOLE
    with pytest.raises(ValueError, match=f"SHA-256 is {SHA}, expected 1111"):
        fetch_cells(tmp_path / "a.zip", tmp_path / "b", sha256="1111")


def test_a_folder_is_used_where_it_stands(tmp_path):
    got = unpack(tmp_path, WHOLE)
    assert fetch_cells(got) == fetch_cells(str(got.parent)) == got
    for f in (got / "Uninfected").iterdir():
        f.unlink()
    (got / "Uninfected").rmdir()
    with pytest.raises(FileNotFoundError, match="no Uninfected/"):
        fetch_cells(got)


@pytest.mark.parametrize("source", ["nowhere.zip", "ftp://example.org/cells.zip"])
def test_no_such_source(tmp_path, source):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        fetch_cells(source, tmp_path / "to")


def test_a_hole_in_what_was_fetched(tmp_path):
    got = unpack(tmp_path, WHOLE)
    victim = next((got / "Uninfected").iterdir())
    victim.unlink()
    with pytest.raises(ValueError, match="holds 7 cells, expected 8.*Move that folder away"):
        unpack(tmp_path, WHOLE)
    assert len(list(got.rglob("*.png"))) == 7


def test_cells_unpacked_by_hand(tmp_path, home, monkeypatch):
    "`nih` filled by hand counts as the official set if all of it is there; no network is needed."
    monkeypatch.setattr(archives, "N_CELLS", 8)
    got = unpack(tmp_path, WHOLE)
    (got / "source.json").unlink()
    home.mkdir()
    got.parent.rename(home / "nih")
    assert fetch_cells(home=home) == home / "nih" / "cell_images"
    next((home / "nih" / "cell_images" / "Uninfected").iterdir()).unlink()
    with pytest.raises(ValueError, match="holds 7 cells, expected 8"):
        fetch_cells(home=home)


# -- disks ----------------------------------------------------------------------------------------


class FullDisk:
    "A file on a disk that has room for `room` more bytes."

    def __init__(self, file, room):
        self.file, self.room = file, room

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.room -= self.file.write(data[: max(self.room, 0)])
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def small_disk(path, mode="r", **how):
    file = open(path, mode, **how)
    return file if "r" in mode else FullDisk(file, 100_000)


def test_disk_full_while_downloading(tmp_path, monkeypatch):
    with Server() as srv:
        with monkeypatch.context() as m:
            m.setattr("malaria_nb.fetch.open", small_disk, raising=False)
            with pytest.raises(
                OSError, match="is full: free some space, or choose another .* MALARIA_NB_HOME"
            ) as e:
                fetch([srv.url, "http://127.0.0.1:1/"], tmp_path / "to")
            assert (
                e.value.errno == errno.ENOSPC and len(srv.asked) == 1
            )  # no retry, no mirror: no room there either
        whole(fetch(srv.url, tmp_path / "to"))
        assert srv.asked[1] == "bytes=100000-"  # with room, it goes on


def test_disk_full_while_unpacking(tmp_path, monkeypatch):
    with Server() as srv:
        with monkeypatch.context() as m:

            def full(self, data):
                raise OSError(errno.ENOSPC, "No space left on device")

            m.setattr(Path, "write_bytes", full)
            with pytest.raises(OSError, match="MALARIA_NB_HOME"):
                fetch(srv.url, tmp_path / "to")
        assert left_in(tmp_path / "to") == {"cell_images.zip"}  # not fetched twice
        whole(fetch(srv.url, tmp_path / "to"))
        assert len(srv.asked) == 1


def test_no_room_is_said_before_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda p: type("Usage", (), {"free": 1000}))
    (tmp_path / "a.zip").write_bytes(WHOLE)
    monkeypatch.setattr(Path, "write_bytes", lambda *_: pytest.fail("unpacked all the same"))
    with pytest.raises(OSError, match="is full") as e:
        fetch_cells(tmp_path / "a.zip", tmp_path / "to", progress=False)
    assert e.value.errno == errno.ENOSPC


def test_no_permission(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(WHOLE)
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="can't write in .*file/to.*MALARIA_NB_HOME"):
        fetch_cells(tmp_path / "a.zip", tmp_path / "file" / "to")

    def denied(self, *a, **k):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(PermissionError, match="Permission denied.*give yourself permission"):
        fetch_cells(tmp_path / "a.zip", tmp_path / "to")


@pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root"
)
def test_no_permission_for_real(tmp_path):
    (tmp_path / "a.zip").write_bytes(WHOLE)
    (tmp_path / "to").mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="MALARIA_NB_HOME"):
        fetch_cells(tmp_path / "a.zip", tmp_path / "to")
