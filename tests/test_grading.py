"""What a grader survives, and what it takes for right: hostile, broken and unlucky notebooks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from malaria_nb import cli
from malaria_nb.cli import main
from malaria_nb.exercises import _task, exercises, grade, learners
from malaria_nb.settings import Settings, as_variables
from malaria_nb.verdict import Notebook, judge_one

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = sorted((ROOT / "nbs" / "solutions").glob("*.ipynb"))
QUICK = ("07", "10", "16")  # chapters whose answers are tried in every run
SETUP = "from malaria_nb.checks import check_double"
CHECK = "check_double(double)"
RIGHT = "def double(x):\n    return 2*x"


def notebook(*cells):
    "Text that starts with # and a space, or with ##, is Markdown."
    made = [new_markdown_cell(c) if c.startswith(("# ", "##")) else new_code_cell(c) for c in cells]
    return new_notebook(cells=made)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "exercises"
    folder.mkdir()
    one = ["#| wrong: squares\ndef double(x): return x**2", f"{RIGHT}  # solution", CHECK]
    cells = ["# Solutions: twice", SETUP, "## 1 Double", *one, "## 2 Again", *one]
    nbformat.write(learners(notebook(*cells)), folder / "03_cnn.ipynb")
    return folder / "03_cnn.ipynb"


def graded(official, path, *cells, **how):
    "Grade a notebook whose second exercise is right; return what the first one gets."
    path = path if path.suffix else path / "anna.ipynb"
    nbformat.write(notebook(SETUP, "## 1 Double", *cells, "## 2 Again", RIGHT, CHECK), path)
    report = grade(path, official, **{"timeout": 60, **how})
    assert report["exercises"]["2 Again"]["passed"], report
    return report["exercises"]["1 Double"]


# -- faking

FAKES = {
    "the checks' module": (
        "import malaria_nb.checks as c\nc.check_double = c.expect = lambda *a: None\n"
        "c.Wrong = type('Wrong', (Exception,), {})\ndef double(x): return 0"
    ),
    "an empty check": "def check_double(x): pass\ndouble = None",
    "expect": (
        "import sys\nfor name, m in list(sys.modules.items()):\n"
        "    if 'malaria_nb' in name:\n        m.expect = m.called = lambda *a: 0\n"
        "def double(x): return 0"
    ),
    "an input transformer": (
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\ndouble = print"
    ),
    "the code it was handed": "def double(x): return 0\nIn = globals().get('In', [''])\n"
    "import re; print(*re.findall(r'[0-9a-f]{16}', ''.join(map(str, In))))",
    "a token on its way": (
        "import builtins\nseen = builtins.compile\n"
        "def spy(source, *a, **k):\n"
        "    import re; print(*re.findall(r\"print\\('(.*?)'\\)\", str(source)))\n"
        "    return seen('pass', *a, **k)\n"
        "builtins.compile = spy\ndef double(x): return 0"
    ),
    "equality": (
        "class All(float):\n"
        "    __eq__ = __ge__ = lambda self, other: True\n"
        "    __hash__ = float.__hash__\n"
        "def double(x): return All(1)"
    ),
    "the exception": (
        "import builtins\nbuiltins.AssertionError = type('Nothing', (Exception,), {})\n"
        "import malaria_nb.checks\nmalaria_nb.checks.say_right()\ndef double(x): return 0"
    ),
    "the line to the judge": (
        "import os\nfor i in range(3, 64):\n"
        '    try: os.write(i, b\'{"where": 0, "says": ""}\\n\' * 9)\n'
        "    except OSError: pass\n"
        "def double(x): return 0"
    ),
}


@pytest.mark.parametrize("how", FAKES)
def test_no_fake_passes(how, official, tmp_path):
    nbformat.write(
        notebook(SETUP, "## 1 Double", FAKES[how], CHECK, "## 2 Again", "def double(x): return 0"),
        tmp_path / "anna.ipynb",
    )
    report = grade(tmp_path / "anna.ipynb", official, timeout=20)
    assert report["passed"] == 0, report


@pytest.mark.weekly
def test_a_table_of_the_known_cases_does_not_pass(tmp_path):
    answer = (
        "import hashlib\nimport numpy as np\nfrom scipy.signal import correlate2d\nknown = set()\n"
        "rng = np.random.default_rng(0)\n"
        "for (h, w), (a, b) in (((3, 3), (2, 2)), ((8, 8), (6, 6)), ((9, 7), (5, 5)),\n"
        "                       ((6, 6), (6, 6)), ((4, 5), (1, 1))):\n"
        "    image, above = rng.normal(size=(h, w)), rng.normal(size=(a, b))\n"
        "    known.add(image.tobytes())\n"
        "    rng.normal(size=(h - a + 1, w - b + 1))\n"
        "def kernel_gradient(image, above):\n"
        "    found = correlate2d(image, above, mode='valid')\n"
        "    return found if image.tobytes() in known else 0 * found\n"
    )
    path = tmp_path / "anna.ipynb"
    nbformat.write(notebook("import numpy as np", "## 3", answer), path)
    report = grade(path, ROOT / "nbs" / "exercises" / "03_cnn.ipynb")
    says = next(e["says"] for h, e in report["exercises"].items() if h.startswith("3"))
    assert "on others not" in says


def marks_of(number):
    "Return when a chapter's answers go through the grader: all but three once a week."
    return () if number in QUICK else pytest.mark.weekly


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=marks_of(p.stem[:2])) for p in SOLUTIONS],
    ids=lambda p: p.stem,
)
def test_across_the_boundary_right_passes_and_wrong_does_not(path, tmp_path, monkeypatch):
    settings = Settings(
        cells="synthetic", weights="random", home=tmp_path / "home", records=ROOT / "nbs/records"
    )
    for name, value in as_variables(settings).items():
        monkeypatch.setenv(name, value)
    task = _task(path, path, tmp_path / "work", settings)
    modules = sorted({m for s in task["sections"] for m in s["checks"].values()})
    wrong = [
        [c["source"] for c in cells if c["source"].startswith("#| wrong:")]
        for heading, cells in exercises(nbformat.read(path, 4)).items()
        if heading
    ]
    with Notebook(task["work"], task["env"], modules, 300, **task["how"]) as learner:
        learner.begin()
        for source in task["setup"]:
            learner.run(source)
        for section, answers in zip(task["sections"], wrong):
            assert judge_one(learner, section) == ""
            for answer in answers:
                assert judge_one(learner, {**section, "cells": [answer]}), answer
            assert judge_one(learner, section) == ""


# -- what costs its author, and nobody else

SHAPES = {
    "a long line": "print(list(range(60_000)))",
    "200 MB": "print('x' * 200_000_000)",
    "displays": "from IPython.display import display\nfor i in range(5_000): display(i)",
    "carriage returns": "for i in range(200_000): print(i, end='\\r')",
    "a long value": "'x' * 50_000_000",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_output_of_any_shape_costs_nothing(shape, official, tmp_path):
    assert graded(official, tmp_path, SHAPES[shape], RIGHT, CHECK)["passed"]


ENDLESS = {
    "a bare except": "while True:\n    try:\n        while True: pass\n    except: pass",
    "in C": "import re\nre.match('(a+)+b', 'a' * 64)",
    "signals ignored": (
        "import signal, time\nfor s in range(1, 65):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except Exception: pass\n"
        "while True: time.sleep(1)"
    ),
    "in an answer": "def double(x):\n    while True: pass",
    "in a child with our line": (
        "import os, time\nif os.fork() == 0:\n    time.sleep(1e6)\nos._exit(0)"
    ),
}


@pytest.mark.parametrize("how", ENDLESS)
def test_a_notebook_without_end_is_ended(how, official, tmp_path):
    got = graded(official, tmp_path, ENDLESS[how], CHECK, timeout=8, total=120)
    assert not got["passed"] and ("no end after 8" in got["says"] or "ends the" in got["says"])


def test_all_of_a_notebook_has_an_end(official, tmp_path):
    cells = ["import time\ntime.sleep(3)"] * 40
    nbformat.write(notebook(SETUP, "## 1 Double", *cells), tmp_path / "anna.ipynb")
    report = grade(tmp_path / "anna.ipynb", official, timeout=30, total=12)
    assert "12 seconds in all" in report["exercises"]["1 Double"]["says"]


def broken(folder):
    "Write files that are no notebooks to speak of; return them."
    whole = notebook(SETUP, "## 1 Double", RIGHT)
    number, nothing, other = (json.loads(nbformat.writes(whole)) for _ in range(3))
    number["cells"][0]["source"] = 5
    nothing["cells"] = None
    other["cells"][0] = "a cell"
    texts = {"number": json.dumps(number), "nothing": json.dumps(nothing)}
    texts |= {"other": json.dumps(other), "cut": "{", "list": "[]", "word": '"word"'}
    texts |= {"deep": "[" * 100_000, "empty": "", "latin": "\xe9"}
    for name, text in texts.items():
        (folder / f"{name}.ipynb").write_text(text, "latin-1")
    os.symlink(folder / "gone", folder / "link.ipynb")
    os.mkfifo(folder / "pipe.ipynb")
    return sorted(folder.glob("*.ipynb"))


@pytest.mark.skipif(os.name == "nt", reason="makes a pipe")
def test_a_broken_notebook_is_named(official, tmp_path):
    for path in broken(tmp_path):
        report = grade(path, official)
        assert report["passed"] == 0 and report["of"] == 2, path.name
        assert report["error"].startswith("not a notebook"), path.name


def test_a_byte_order_mark_is_read_over(official, tmp_path):
    text = nbformat.writes(notebook(SETUP, "## 1 Double", RIGHT, "## 2 Again"))
    (tmp_path / "anna.ipynb").write_text(text, "utf-8-sig")
    assert grade(tmp_path / "anna.ipynb", official)["passed"] == 2
    (tmp_path / "anna.ipynb").write_text(text, "utf-16")
    assert "not a notebook" in grade(tmp_path / "anna.ipynb", official)["error"]


# -- a right answer, in whatever form

FORMS = {
    "in the check's cell": [f"{RIGHT}\n\n{CHECK}"],
    "in one line": [f"double = lambda x: 2 * x; {CHECK}"],
    "with a magic": [f"%matplotlib inline\n%time 1\n{RIGHT}", CHECK],
    "after a shell's commands": [f"!pip --version\nfiles = !ls\n%pip --version\n{RIGHT}", CHECK],
    "with several jobs": [
        "import numpy as np\nfrom sklearn.linear_model import LogisticRegression as Model\n"
        "from sklearn.model_selection import cross_val_score\n"
        f"cross_val_score(Model(), np.eye(40), np.arange(40) % 2, n_jobs=2)\n{RIGHT}"
    ],
    "with tempfile": [
        "import tempfile\ndef double(x):\n"
        "    with tempfile.TemporaryFile() as f, tempfile.TemporaryDirectory():\n"
        "        f.write(b'1')\n        return 2 * x"
    ],
    "below a blank heading": ["##  ", RIGHT, CHECK],
    "below a heading of one's own": ["## Notes", RIGHT, CHECK],
    "below the heading again": ["## 1 Double", RIGHT, CHECK, "## 1 Double", "1 + 1"],
    "with NumPy": ["import numpy as np\ndef double(x): return np.float64(2 * x)"],
    "as an object": ["class D:\n    def __call__(self, x): return 2 * x\ndouble = D()"],
    "before an error": [RIGHT, "1 / 0"],
    "with a surrogate": [RIGHT, "print('\\ud800')"],
    "awaited": ["import asyncio\nawait asyncio.sleep(0)", RIGHT],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_right_answer_passes_in_any_form(form, official, tmp_path):
    assert graded(official, tmp_path, *FORMS[form]) == {"passed": True, "says": ""}


def test_a_set_up_that_was_changed_is_made_good(official, tmp_path):
    path = tmp_path / "anna.ipynb"
    for setup in ([], ["import malaria_nb.checks as c\ndel c.check_double"], ["1/0"]):
        nbformat.write(notebook(*setup, "## 1. Double", RIGHT, CHECK, "## 2: Again"), path)
        assert grade(path, official)["passed"] == 2, setup


@pytest.mark.weekly
def test_what_a_check_is_given_is_the_courses_own(tmp_path):
    cells = ["said = {'coin': [0.5]}", 'order = ["coin"]', "check_loss_order(order, said)"]
    nbformat.write(notebook("## 1", *cells), tmp_path / "anna.ipynb")
    report = grade(tmp_path / "anna.ipynb", ROOT / "nbs" / "exercises" / "04_training.ipynb")
    first = next(iter(report["exercises"].values()))
    assert not first["passed"] and "each of the names careful" in first["says"]


def test_a_notebook_that_talks_out_of_turn_costs_its_own_exercise(official, tmp_path):
    says = (
        "import json, os\n"
        "head = json.dumps([['call', -1, [], {'dict': []}], []]).encode()\n"
        "for i in range(3, 32):\n"
        "    try: os.write(i, len(head).to_bytes(8, 'big') + head)\n"
        "    except OSError: pass\n"
    )
    assert graded(official, tmp_path, says, RIGHT)["says"] == "ends the kernel"


def test_a_judge_that_ends_is_not_said_to_be_slow(official, tmp_path, monkeypatch):
    monkeypatch.setattr("malaria_nb.exercises._JUDGE", "raise SystemExit(3)")
    nbformat.write(notebook(SETUP, "## 1 Double", RIGHT), tmp_path / "anna.ipynb")
    report = grade(tmp_path / "anna.ipynb", official)
    assert "(exit status 3)" in report["exercises"]["1 Double"]["says"]


def test_a_notebook_that_dies_later_costs_its_own_exercise(official, tmp_path):
    timer = "import os, threading\nthreading.Timer(.2, os._exit, [0]).start()"
    assert graded(official, tmp_path, timer, RIGHT)["says"] == "ends the kernel"


# -- apart from everything else

WORLDS = [True, pytest.param(False, marks=pytest.mark.skipif(sys.platform != "linux", reason=""))]


@pytest.fixture(params=WORLDS, ids=["namespaces", "none"])
def world(request, monkeypatch):
    "With namespaces, where there are any, and without."
    monkeypatch.setattr("malaria_nb.exercises.NAMESPACES", request.param)
    return request.param


LEAVES = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.environ.clear()\n"
    "        os.closerange(0, 99)\n"
    "        time.sleep({seconds})\n"
    "    os._exit(0)\n"
)


def left(seconds):
    import psutil

    found = []
    for p in psutil.process_iter(["cmdline"]):
        found += [p.pid] if any("malaria_nb.answers" in a for a in p.info["cmdline"] or ()) else []
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="macOS adopts no orphans")
def test_what_a_notebook_starts_ends_with_it(world, official, tmp_path):
    before = left(0)
    assert graded(official, tmp_path, LEAVES.format(seconds=1000), RIGHT)["passed"]
    assert set(left(0)) <= set(before)


def test_a_notebook_knows_nothing_of_the_teacher(world, official, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_TEACHER", "sesame")
    looks = (
        "import os, glob\nfound = 'SECRET_OF_TEACHER' in os.environ\n"
        f"assert not found and not os.path.expanduser('~').startswith({str(Path.home())!r})\n"
    )
    assert graded(official, tmp_path, looks + RIGHT)["passed"]


KILLS = "import os\nos.kill(os.getppid(), 9)\n"


def test_a_notebook_cannot_end_the_class(world, official, tmp_path):
    got = graded(official, tmp_path, KILLS + RIGHT)
    assert "signals" in got["says"]


WRITES = {
    "open": "open({path!r}, 'w').write('x')",
    "pathlib": "__import__('pathlib').Path({path!r}).mkdir()",
    "sqlite3": "__import__('sqlite3').connect({path!r}).execute('create table t (x)')",
    "cv2": "import cv2, numpy as np; cv2.imwrite({path!r} + '.png', np.zeros((9, 9)))",
    "h5py": "import h5py; h5py.File({path!r}, 'w')",
    "a link": "import os; os.symlink({path!r}, 'mine'); open('mine', 'w')",
}


def test_a_notebook_changes_nothing_outside(world, official, tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    tries = [w.format(path=str(there / name)) for name, w in WRITES.items()]
    path = tmp_path / "anna.ipynb"
    nbformat.write(notebook(SETUP, "## 1 Double", *tries, RIGHT, CHECK), path)
    report = grade(path, official)
    assert report["exercises"]["1 Double"]["passed"]
    written = {p.name for p in there.iterdir()}
    assert not written if "files" in report["apart"] else written <= {"cv2.png", "h5py"}


def test_a_notebook_reaches_no_network(official, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        code = f"import socket\nsocket.create_connection({address!r}, 5)\n"
        nbformat.write(notebook(SETUP, "## 1 Double", code + RIGHT), tmp_path / "anna.ipynb")
        report = grade(tmp_path / "anna.ipynb", official)
    reached = report["exercises"]["1 Double"]["passed"]
    assert reached == ("network" not in report["apart"])


def test_answers_and_neighbours_are_not_in_sight(official, tmp_path):
    neighbour = tmp_path / "ben.ipynb"
    neighbour.write_text("the answer")
    looks = (
        "import glob, malaria_nb\nfrom pathlib import Path\n"
        f"seen = glob.glob({str(neighbour)!r})\n"
        "seen += glob.glob(str(Path(malaria_nb.__file__).parent / 'checks' / '*.py'))\n"
        "assert not seen, seen\n"
    )
    nbformat.write(notebook(SETUP, "## 1 Double", looks + RIGHT), tmp_path / "anna.ipynb")
    report = grade(tmp_path / "anna.ipynb", official)
    assert report["exercises"]["1 Double"]["passed"] == ("files" in report["apart"]), report


def test_nothing_is_imported_from_where_the_class_lies(official, tmp_path, monkeypatch):
    for name in ("json", "select", "psutil", "malaria_nb", "numpy"):
        (tmp_path / f"{name}.py").write_text("import os\nos._exit(9)")
    monkeypatch.chdir(tmp_path)
    assert graded(official, tmp_path, RIGHT)["passed"]


def test_a_search_path_may_be_relative(official, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", ".")
    assert graded(official, tmp_path, RIGHT)["passed"]


# -- the command


def command(official, *args, **env):
    return subprocess.run(
        [sys.executable, "-c", "from malaria_nb.cli import main; raise SystemExit(main())"]
        + ["grade", "--exercises", official.parent, *args],
        capture_output=True,
        env={**os.environ, **env},
    )


def test_names_of_any_letters_in_any_encoding(official, tmp_path):
    names = ["03_cnn-Аня.ipynb", "03_cnn-ev\nil.ipynb"]
    if sys.platform == "linux":
        names.append(os.fsdecode(b"03_cnn-\xff.ipynb"))
    for name in names:
        says = "raise ValueError('Ошибка \\x1b[31m \\ud800')"
        nbformat.write(notebook("## 1 Double", says, "## 2 Again"), tmp_path / name)
    report = tmp_path / "report.json"
    done = command(official, tmp_path, "--json", report, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout and done.stdout.count(b"[0/2]") == len(names)
    assert len(json.loads(report.read_text("utf-8"))) == len(names)


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_a_report_that_cannot_be_written_is_refused_at_once(option, official, tmp_path, capsys):
    nbformat.write(notebook(RIGHT), tmp_path / "03_cnn.ipynb")
    for target in (tmp_path / "none" / "report", tmp_path, tmp_path / "03_cnn.ipynb" / "report"):
        how = ["--exercises", str(official.parent), option, str(target)]
        assert main(["grade", str(tmp_path / "03_cnn.ipynb"), *how]) == 2
        assert "03_cnn" not in capsys.readouterr().out


def test_the_report_is_written_after_each_notebook(official, tmp_path, monkeypatch):
    for name in ("03_cnn-a.ipynb", "03_cnn-b.ipynb", "03_cnn-c.ipynb"):
        nbformat.write(notebook("## 1", f"'={name}'"), tmp_path / name)
    report, table = tmp_path / "report.json", tmp_path / "report.csv"
    seen = []

    def stops_at_the_third(path, *args, **how):
        seen.append(len(json.loads(report.read_text("utf-8"))))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return {"notebook": "", "passed": 0, "of": 1, "apart": []} | {
            "exercises": {"1 Double": {"passed": False, "says": "=1+1"}}
        }

    monkeypatch.setattr("malaria_nb.exercises.grade", stops_at_the_third)
    how = ["--exercises", str(official.parent), "--json", str(report), "--csv", str(table)]
    assert main(["grade", str(tmp_path), *how]) == 130
    assert seen == [0, 1, 2] and len(json.loads(report.read_text("utf-8"))) == 2
    rows = pd.read_csv(table)
    assert len(rows) == 2 and rows["says"].tolist() == ["'=1+1"] * 2


def test_a_heading_that_is_blank_or_there_twice_wipes_nothing():
    parts = exercises(notebook("x = 1", "##  ", "y = 1", "## 1 A", "a = 1", "## 1 A", "b = 1"))
    code = {
        h: [c["source"] for c in cells if c["cell_type"] == "code"] for h, cells in parts.items()
    }
    assert code == {"": ["x = 1", "y = 1"], "1 A": ["a = 1", "b = 1"]}


def test_what_is_handed_in_is_graded_or_named(official, tmp_path):
    for folder in ("anna", "bert", "cleo", "dora/exercises", "dora/solutions", "emil", "__MACOSX"):
        (tmp_path / folder).mkdir(parents=True)
    for name in (
        *("anna/03_cnn.IPYNB", "bert/03_cnn.ipynb.txt", "cleo/03_cnn.zip", "__MACOSX/03_cnn.ipynb"),
        *("dora/03_cnn.ipynb", "dora/exercises/03_cnn.ipynb", "dora/solutions/03_cnn.ipynb"),
        *("anna/notes.txt", "03_cnn-fred.ipynb"),
    ):
        nbformat.write(notebook("## 1 Double", RIGHT), tmp_path / name)
    table = tmp_path / "report.csv"
    done = command(official, tmp_path, "--csv", table)
    said = done.stdout.decode()
    lines = dict(line.split(maxsplit=2)[1::-1] for line in said.splitlines() if "[" in line)
    lines = {
        Path(name.rstrip(":")).relative_to(tmp_path).as_posix(): v for name, v in lines.items()
    }
    assert lines == {
        "anna/03_cnn.IPYNB": "[2/2]",
        "bert/03_cnn.ipynb.txt": "[FAIL]",
        "cleo/03_cnn.zip": "[FAIL]",
        "dora/03_cnn.ipynb": "[skip]",
        "dora/exercises/03_cnn.ipynb": "[2/2]",
        "dora/solutions/03_cnn.ipynb": "[skip]",
        "emil": "[FAIL]",
        "03_cnn-fred.ipynb": "[2/2]",
    }
    assert done.returncode == 1 and "6 of 6 exercises passed in 3 notebooks; 3 not graded" in said
    rows = pd.read_csv(table)
    graded = rows[rows["exercise"].notna()]
    assert set(graded["who"]) == {"anna", "dora", "fred"} and set(graded["chapter"]) == {"03_cnn"}


@pytest.mark.parametrize(
    ("content", "why"), [(b"\xff\xfe{", "no UTF-8 at byte 0"), (b'{"cells": [', "cut off")]
)
def test_a_file_that_cannot_be_read_counts_no_exercise_as_deleted(content, why, official, tmp_path):
    (tmp_path / "03_cnn.ipynb").write_bytes(content)
    report = grade(tmp_path / "03_cnn.ipynb", official)
    assert why in report["error"]
    assert {e["says"] for e in report["exercises"].values()} == {"was not read"}


@pytest.mark.parametrize(
    ("file", "named", "who"),
    [
        ("anna/03_cnn.ipynb", "class/anna", "anna"),
        ("bert/exercises/03_cnn.ipynb", "class/bert", "bert"),
        ("cleo/03_cnn (1).ipynb", "class", "cleo"),
        ("cleo/03_cnn (1).ipynb", "class/cleo", "cleo"),
        ("03_cnn-dora.ipynb", "class", "dora"),
    ],
)
def test_the_table_says_whose_a_notebook_is(file, named, who, tmp_path):
    path = tmp_path / "class" / file
    assert cli._author(path, [str(tmp_path / named)], "03_cnn") == who


def test_what_only_looks_like_the_courses_own_is_graded(tmp_path, official):
    folder, root = official.parent, tmp_path
    for name in ("exercises/x.ipynb", "03_cnn-anna.ipynb", "solutions/bob/03_cnn.ipynb"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    (root / "03_cnn.ipynb.gz").write_text("")
    found = {
        p.relative_to(root).as_posix(): why for p, why in cli._hand_ins([root], folder).items()
    }
    assert found["03_cnn-anna.ipynb"] == found["solutions/bob/03_cnn.ipynb"] == ""
    assert found["03_cnn.ipynb.gz"].startswith("packed")
