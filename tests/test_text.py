"""Text that leaves the course: any file name, any terminal, in CSV, JSON, HTML and on stdout."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pandas as pd
import pytest

from malaria_nb import cli
from malaria_nb.cli import main
from malaria_nb.doctor import Check
from malaria_nb.notebooks import ChapterRun, write_whole
from malaria_nb.synthetic import synthetic_cells

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")
free_names = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="such names can't be made there"
)
CLI = [sys.executable, "-m", "malaria_nb.cli"]
TERMINALS = ("cp1252", "cp437", "latin-1", "ascii")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    "Work in a folder of one's own, with no settings from outside."
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("MALARIA_NB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))


@pytest.fixture
def terminal(monkeypatch):
    "A function that runs the command on a terminal of some encoding, and returns what it shows."

    def run(encoding, *words):
        shown = []
        for name in ("stdout", "stderr"):
            shown.append(io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True))
            monkeypatch.setattr(sys, name, shown[-1])
        status = main(list(words))
        return status, *(s.buffer.getvalue().decode(encoding) for s in shown)

    return run


CELL = cv2.circle(np.zeros((20, 20, 3), np.uint8), (10, 10), 8, (165, 150, 205), -1)
PICTURE = cv2.imencode(".png", CELL)[1].tobytes()


def pictures(*names, folder="in"):
    "Make a picture of each name; return the names."
    for name in names:
        Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        Path(folder, name).write_bytes(PICTURE)
    return names


def rows(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


# ---- every command, on every terminal


@pytest.mark.parametrize("encoding", TERMINALS)
@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "data --help",
        "course --help",
        "experiment run --help",
        "grade --help",
        "predict --help",
        "data --cells few",
        "predict few --csv s.csv",
        "experiment list",
        "experiment show basic_cnn compact",
        "experiment compare basic_cnn compact",
        "experiment card compact",
        "experiment check --coverage",
    ],
)
def test_a_terminal_shows_letters_not_escapes(encoding, words, terminal, tmp_path):
    if "few" in words:
        synthetic_cells(tmp_path / "few", n=60)
    status, out, err = terminal(encoding, *words.split())
    assert status == 0 and out and "\\u" not in out + err and "\\x" not in out + err


@pytest.mark.parametrize("encoding", TERMINALS)
def test_a_terminal_shows_signs_by_their_neighbours(encoding, terminal, monkeypatch):
    found = Check("naïve", "FAIL", "−1 ≤ x ≥ 2 – “so” … 3 × 4 ± 5²", "do")
    monkeypatch.setattr(cli, "doctor", lambda settings: [found])
    status, out, _ = terminal(encoding, "doctor")
    assert status == 1 and "\\" not in out and "?" not in out
    for sign, plain in {"−": "-", "≤": "<=", "…": "...", "ï": "i", "²": "^2", "→": "->"}.items():
        assert (sign in out) or (plain in out)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_on_stdout_is_json_in_any_encoding(encoding, terminal, monkeypatch):
    found = [Check("café", "FAIL", "😀 → \udcff", "do → this")]
    monkeypatch.setattr(cli, "doctor", lambda settings: found)
    status, out, _ = terminal(encoding, "doctor", "--json")
    check = json.loads(out)["checks"][0]
    assert status == 1 and (check["name"], check["found"]) == ("café", "😀 → \udcff")


# ---- names of files

ODD = [
    "new\nline.png",
    "a\rb.png",
    "tab\there.png",
    'a,"b";=1+1.png',
    "日本 é.png",
    "\u202egnp.exe.png",
    "שלום.png",
    "\x1b[31m.png",
    os.fsdecode(b"\xff.png"),
    "x" * 251 + ".png",
    "é" * 125 + ".png",
    " lead.png",
]
FORMULAS = [
    "=1+1.png",
    "+1.png",
    "-1.png",
    "@sum.png",
    "\t=1.png",
    "\r=1.png",
    " =1.png",
    "＝1.png",
]


@free_names
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_any_name_is_one_line_and_one_row(encoding, terminal):
    names = pictures(*ODD)
    status, out, err = terminal(encoding, "predict", "in", "--csv", "s.csv", "--explain", "out")
    assert status == 0, err
    assert len(out.split("\n")) == 3 + len(names)
    assert not set(out) & set("\r\t\x1b\u202e")
    wanted = sorted("in/" + n.encode("utf-8", "backslashreplace").decode() for n in names)
    assert sorted(r["file"] for r in rows("s.csv")) == wanted
    assert sorted(pd.read_csv("s.csv")["file"]) == wanted
    assert len(list(Path("out").iterdir())) == len(names)
    assert all(n.endswith(".evidence.png") for n in os.listdir("out"))


@free_names
def test_a_name_that_begins_like_a_formula_is_none_and_still_names_the_file():
    names = pictures(*FORMULAS, folder=".")
    assert main(["predict", "--csv", "s.csv", "--", *names]) == 0
    for row in rows("s.csv"):
        assert row["file"].lstrip()[0] not in "=+-@＝\t\r" and Path(row["file"]).is_file()
    os.mkdir("=folder")
    os.rename("+1.png", "=folder/a.png")
    assert main(["predict", "--csv", "t.csv", "--", "=folder", "=none.png"]) == 1
    assert [r["file"] for r in rows("t.csv")] == ["./=folder/a.png", "./=none.png"]


@free_names
def test_numbers_of_a_csv_are_numbers_and_text_is_quoted():
    pictures("a;=1+1.png")
    assert main(["predict", "in", "--csv", "s.csv"]) == 0
    line = Path("s.csv").read_text("utf-8").splitlines()[1]
    assert line.startswith('"in/a;=1+1.png",0.')
    assert pd.read_csv("s.csv")["score"].between(0, 1).all()


@free_names
def test_two_long_names_get_two_drawings_and_short_ones_stay():
    pictures("x" * 248 + "a.png", "x" * 248 + "b.png", "short.png")
    assert main(["predict", "in", "--csv", "s.csv", "--explain", "out"]) == 0
    assert len(os.listdir("out")) == 3 and "short.evidence.png" in os.listdir("out")
    assert all(len(os.fsencode(n)) <= 255 for n in os.listdir("out"))


def test_a_drawing_that_cannot_be_made_costs_nothing_else(capsys):
    pictures("a.png", "b.png")
    os.makedirs("out/a.evidence.png")
    assert main(["predict", "in", "--csv", "s.csv", "--explain", "out"]) == 1
    out, err = capsys.readouterr()
    assert "2 cells scored" in out and "a.png" in err and len(err.splitlines()) == 1
    assert len(rows("s.csv")) == 2 and Path("out/b.evidence.png").is_file()


@free_names
def test_names_in_messages_stay_on_their_line_and_move_no_cursor(capsys):
    odd = "a\n\x1b[2Jb"
    for words in (
        ["predict", odd],
        ["predict", "--csv", f"{odd}/s.csv", "."],
        ["data", "--cells", odd],
        ["data", "--source", f"{odd}.zip"],
        ["frob\x1b[2Jnicate"],
        ["data", f"--o\x1b[2Jdd\n{odd}"],
    ):
        assert main(words) in (1, 2)
        _, err = capsys.readouterr()
        assert "\x1b" not in err and len([n for n in err.splitlines() if n]) <= 2, words


@free_names
def test_data_lists_odd_names_on_one_line_each(tmp_path, capsys):
    few = synthetic_cells(tmp_path / "few", n=60)
    (few / "Parasitized" / "new\nline\x1b[31m.png").write_bytes(b"no picture")
    assert main(["data", "--cells", "few"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and len(out.splitlines()) == 2


@free_names
def test_texts_hold_any_name_and_json_gives_it_back():
    name = os.fsdecode(b"\xff") + "é\u2028<b>"
    write_whole("a.json", json.dumps({"notebook": name}, ensure_ascii=False))
    assert json.loads(Path("a.json").read_text("utf-8")) == {"notebook": name}


@free_names
def test_the_index_escapes_names_and_links_them(tmp_path):
    name = '00_a"#<b>%é ' + os.fsdecode(b"\xff")
    run = ChapterRun(name, title="<i>", html=f"{name}.html", cell=2, anchor='a"b', error="x")
    page = cli._index([run], tmp_path, "<settings>", None).read_text("utf-8")
    links = []

    class Links(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("b", "i", "settings")
            links.extend(v for k, v in attrs if k == "href")

    Links().feed(page)
    files = [link.partition("#")[0] for link in links]
    assert len(files) == 2 and {unquote(f, errors="surrogateescape") for f in files} == {run.html}


# ---- streams that are closed, full, or left


@pytest.fixture
def some():
    return pictures(*(f"{i}.png" for i in range(300)))


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_nothing(closed):
    pictures("a.png", "b.png")
    words = " ".join([*CLI, "predict", "in", "--csv", "s.csv", "--explain", "out", closed])
    done = subprocess.run(words, shell=True, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    assert [r["file"] for r in rows("s.csv")] == ["in/a.png", "in/b.png"]
    assert len(os.listdir("out")) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize(
    "words, buffered",
    [
        ("predict in --csv s.csv", True),
        ("predict in --csv s.csv", False),
        ("predict in", True),
        ("predict in", False),
        ("--help", True),
        ("doctor -h", True),
    ],
)
def test_a_full_disk_behind_stdout_is_told_once_and_costs_no_csv(words, buffered):
    pictures("a.png", "b.png")
    env = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*CLI, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, env=env
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("malaria-nb") and "No space left" in line
    assert os.path.exists("s.csv") == ("--csv" in words)


@posix
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stderr too"])
def test_a_reader_who_leaves_costs_no_csv(both, some):
    Path("in/0.png").write_bytes(b"no picture")
    end = "2>&1" if both else "2>&-"
    words = " ".join([*CLI, "predict", "in", "--csv", "s.csv", end, "| head -1"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {words}"], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    assert len(rows("s.csv")) == len(some)
    assert done.returncode == 1, "one was skipped"


@posix
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_is_one_line_its_status_and_nothing_left(number, some):
    # a job in the background ignores SIGINT, and so does its child unless it asks for it
    slow = """
import signal, sys, time
from malaria_nb import cli
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
draw = cli._draw

def slowly(*args):
    draw(*args)
    print("drawn", flush=True)
    time.sleep(0.1)

cli._draw = slowly
sys.exit(cli.main())
"""
    running = subprocess.Popen(
        [sys.executable, "-c", slow, "predict", "in", "--csv", "s.csv", "--explain", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "drawn" not in running.stdout.readline():
        pass
    running.send_signal(signal.Signals[number])
    _, err = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.Signals[number] and len(err.splitlines()) == 1
    assert sorted(os.listdir()) == ["in", "out"] and "CSV file was not written" in err
    assert all(n.endswith(".evidence.png") for n in os.listdir("out"))


def test_signals_are_as_before_after_a_command(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--help"]) == 0 and main(["predict", "none.png"]) == 1
    assert signal.getsignal(signal.SIGTERM) is before


# ---- where a CSV can go


@posix
def test_a_csv_into_ones_own_output_stands_there_alone():
    pictures("a.png", "b.png")
    for target in ("/dev/fd/1", "out"):
        if target == "out":
            os.symlink("/proc/self/fd/1", "out")
        done = subprocess.run(
            [*CLI, "predict", "in", "--csv", target], capture_output=True, text=True, timeout=120
        )
        table = list(csv.DictReader(io.StringIO(done.stdout)))
        assert [r["file"] for r in table] == ["in/a.png", "in/b.png"] and done.returncode == 0
        assert "2 cells scored" in done.stderr
    assert os.path.islink("out")


@posix
def test_a_csv_goes_into_a_pipe():
    pictures("a.png")
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    assert main(["predict", "in", "--csv", "pipe"]) == 0
    reader.join(30)
    assert got[0].count("\n") == 2


def test_a_picture_is_not_taken_for_a_csv(capsys):
    pictures("a.png", "b.png")
    assert main(["predict", "--csv", "in/a.png", "in/b.png"]) == 2
    assert "picture" in capsys.readouterr().err and Path("in/a.png").read_bytes() == PICTURE


@posix
def test_of_two_commands_with_one_csv_one_wins_and_the_other_is_told(capsys):
    pictures("a.png", "b.png")
    with cli._table("s.csv", "file") as row:
        row("slower")
        assert main(["predict", "in", "--csv", "s.csv"]) == 0
        whole = Path("s.csv").read_bytes()
        with pytest.raises(OSError, match="another program"):
            raise_at_the_end = cli._table("s.csv", "file")
            with raise_at_the_end as other:
                other("slowest")
                Path("s.csv").write_bytes(whole + b"\n")
        Path("s.csv").unlink()
    assert Path("s.csv").read_text().split() == ['"file"', '"slower"']


# ---- python -m


@pytest.mark.parametrize("words", [["--version"], ["experiment", "list"], ["frobnicate"], []])
def test_the_module_does_what_the_command_does(words, capsys):
    done = subprocess.run([*CLI, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == main(words)
    out, err = capsys.readouterr()
    assert (done.stdout.rstrip(), done.stderr) == (out.rstrip(), err) and done.stdout + done.stderr
