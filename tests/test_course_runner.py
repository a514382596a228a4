"""`malaria-nb course` on throw-away chapters: what fails is named, and what follows still runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from malaria_nb.notebooks import processed, run_chapter, store_outputs, to_html

# as from a terminal: a background job ignores Ctrl-C, and every child inherits that
COMMAND = [
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from malaria_nb.cli import main; sys.exit(main())",
    "course",
]
GOOD = [
    "# Good & sound\n\n> A chapter.\n\n"
    "See [the bad one](02_bad.ipynb#why) and [the start](index.ipynb).",
    "#| default_exp good",
    "#| hide\nsecret = 'sesame'",
    "#| export\ndef twice(x): return 2*x",
    "twice(21)",
    "import sys\nprint('to stdout'); print('to std' + 'err', file=sys.stderr)",
    "#| eval: false\nraise SystemExit('a cell that must not run')",
]
PICTURE = """from base64 import b64decode
from IPython.display import Image, display
png = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABB"
                "AEAX+XDSwAAAABJRU5ErkJggg==")
about = {"image/png": {"alt": "A \\"dot\\" <1 px wide>"}}
display(Image(data=png, format="png"), metadata=about)"""


def chapter(path, *cells):
    "Write a notebook; text that starts with # and a space, or >, is Markdown."
    nb = new_notebook(
        cells=[new_markdown_cell(c) if re.match(r"# [A-Z]", c) else new_code_cell(c) for c in cells]
    )
    nb.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(nb, path)
    return path


def course(folder, *options, **env):
    return subprocess.run(
        [*COMMAND, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "MALARIA_NB_HOME": str(folder / "home"),
            "MALARIA_NB_CELLS": "synthetic",
            **env,
        },
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    "Seven chapters, of which four fail, each in its own way."
    folder = tmp_path_factory.mktemp("course")
    nbs = folder / "nbs"
    nbs.mkdir()
    chapter(nbs / "index.ipynb", "# The start", "1")
    chapter(nbs / "01_good.ipynb", *GOOD, PICTURE)
    chapter(nbs / "02_bad.ipynb", "# Bad", "x = 1", "#| hide\nzero = 0\nx/zero", "x = 'never'")
    chapter(nbs / "03_endless.ipynb", "# Endless", "import time", "time.sleep(600)")
    chapter(
        nbs / "04_killed.ipynb",
        "# Killed",
        "import os",
        "os.system('echo last words >&2')",
        "os.kill(os.getpid(), 9)",
    )
    (nbs / "05_garbage.ipynb").write_text("{not json")
    chapter(
        nbs / "06_evaluation.ipynb",
        "# Last",
        "import os\nfrom pathlib import Path",
        "results = Path(os.environ['MALARIA_NB_RESULTS'])\n"
        "table = 'model,accuracy\\nbasic CNN,0.95 (0.93–0.96)\\n'\n"
        "(results / 'comparison.csv').write_text(table)",
        "os.environ['MALARIA_NB_CELLS'], os.environ['MALARIA_NB_SCALE'], Path.cwd().name",
    )
    (folder / "mine").mkdir()
    done = course(folder, "--timeout", "15", "--cells", "mine", "--scale", "full")
    return folder / "_course", done


def test_exit_status_and_lines(ran):
    out, done = ran
    assert done.returncode == 1
    lines = [re.match(r"\[(OK|FAIL)\] +(\S+) +[\d.]+ min", o) for o in done.stdout.splitlines()]
    assert [(m[2], m[1]) for m in lines if m] == [
        ("index", "OK"),
        ("01_good", "OK"),
        ("02_bad", "FAIL"),
        ("03_endless", "FAIL"),
        ("04_killed", "FAIL"),
        ("05_garbage", "FAIL"),
        ("06_evaluation", "OK"),
    ]
    assert "3 passed, 4 failed" in done.stdout
    assert "7/7 chapters" in done.stderr, "a bar"


def test_a_failed_cell_is_named_with_source_and_traceback(ran):
    out, done = ran
    assert "02_bad failed in cell 3" in done.stderr and "x/zero" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr and "\x1b[" not in done.stderr
    assert "cell 3: ZeroDivisionError" in done.stdout


def test_an_endless_cell_a_dead_kernel_and_garbage_are_named(ran):
    out, done = ran
    assert "03_endless failed in cell 3" in done.stderr and "no end after 15 seconds" in done.stderr
    assert (
        "04_killed failed in cell 4" in done.stderr
        and "the kernel died (exit status -9)" in done.stderr
        and "memory" in done.stderr
    )
    assert "05_garbage.ipynb is not a notebook" in done.stderr
    assert "Traceback (most recent call last)" not in re.sub(
        r"(?s)02_bad failed.*?division by zero\n", "", done.stderr
    )


def test_settings_reach_the_chapters_and_the_table_comes_back(ran):
    out, done = ran
    last = nbformat.read(out / "06_evaluation.ipynb", 4).cells[-1].outputs[0].data["text/plain"]
    assert last == repr((str(out.parent / "mine"), "full", "nbs"))
    assert re.search(r"model +accuracy\n *basic CNN +0\.95 \(0\.93–0\.96\)", done.stdout)
    assert done.stdout.rstrip().endswith(str(out / "index.html"))


def test_pages_hide_what_is_hidden_and_keep_alt_texts(ran):
    out, done = ran
    page = (out / "01_good.html").read_text("utf-8")
    assert (
        "sesame" not in page
        and "default_exp" not in page
        and "#|" not in page
        and "to stderr" not in page
    )
    text = re.sub(r"<[^>]+>", "", page)
    assert "def twice(x)" in text and "42" in text and "to stdout" in text
    assert (
        'alt="A &quot;dot&quot; &lt;1 px wide&gt;"' in page
        or "alt='A \"dot\" &lt;1 px wide&gt;'" in page
    )
    assert "<title>Good &amp; sound</title>" in page


def test_pages_link_each_other_and_load_nothing(ran):
    out, done = ran
    page = (out / "01_good.html").read_text("utf-8")
    assert 'href="02_bad.html#why"' in page and 'href="index.html"' in page
    assert not re.findall(r'(?:src|href)="https?:[^"]+\.(?:m?js|css)[^"]*"', page)
    start = (out / "index.html").read_text("utf-8")
    for name in ("introduction", "01_good", "02_bad", "03_endless", "04_killed", "06_evaluation"):
        assert f'href="{name}.html"' in start and (out / f"{name}.html").exists()
    assert (
        "basic CNN" in start
        and "0.95 (0.93–0.96)" in start
        and "division by zero" in start
        and start.count("<strong>failed</strong>") == 4
    )


def test_a_hidden_cell_that_failed_is_shown(ran):
    out, done = ran
    text = re.sub(r"<[^>]+>", "", (out / "02_bad.html").read_text("utf-8"))
    assert "x/zero" in text and "division by zero" in text
    anchor = re.search(r'02_bad\.html#(cell-id=\w+)"', (out / "index.html").read_text("utf-8"))[1]
    assert f'id="{anchor}"' in (out / "02_bad.html").read_text("utf-8")
    for name, reason in (("03_endless", "no end after"), ("04_killed", "the kernel died")):
        assert reason in (out / f"{name}.html").read_text("utf-8")


def test_executed_chapters_are_whole_notebooks(ran):
    out, done = ran
    nb = nbformat.read(out / "01_good.ipynb", 4)
    nbformat.validate(nb)
    assert len(nb.cells) == len(GOOD) + 1 and nb.cells[4].outputs[0].data["text/plain"] == "42"
    assert [c.execution_count for c in nbformat.read(out / "02_bad.ipynb", 4).cells[1:]] == [
        1,
        2,
        None,
    ]
    assert not list(out.glob("*.part*"))


def test_a_sound_course_exits_with_0_and_only_runs_what_was_asked_for(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    chapter(tmp_path / "elsewhere" / "01_good.ipynb", *GOOD)
    chapter(tmp_path / "elsewhere" / "02_bad.ipynb", "# Bad", "1/0")
    done = course(tmp_path, "--chapters", "elsewhere", "--only", "01", "--out", "pages")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "pages").iterdir()) == [
        "01_good.html",
        "01_good.ipynb",
        "index.html",
    ]
    assert "1 passed, 0 failed" in done.stdout


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True
    )


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_stops_the_kernel_and_keeps_what_was_done(number, tmp_path):
    (tmp_path / "nbs").mkdir()
    chapter(tmp_path / "nbs" / "01_good.ipynb", *GOOD)
    chapter(
        tmp_path / "nbs" / "02_long.ipynb",
        "# Long",
        "import os, time\nfrom pathlib import Path",
        "Path('../pid.part').write_text(str(os.getpid()))\n"
        "os.rename('../pid.part', '../pid'); time.sleep(600)",
    )
    running = subprocess.Popen(
        COMMAND,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MALARIA_NB_HOME": str(tmp_path / "home")},
    )
    begun = time.time()
    while not (tmp_path / "pid").exists():
        assert running.poll() is None and time.time() < begun + 120, running.communicate()
        time.sleep(0.1)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number
    assert "Traceback" not in err and err.splitlines()[-1].startswith("malaria-nb course: stopped")
    assert (
        "1 passed, 0 failed" in out
        and "1 not run" in out
        and (tmp_path / "_course" / "01_good.html").exists()
    )
    begun = time.time()
    while alive(int((tmp_path / "pid").read_text())):
        assert time.time() < begun + 20, "the kernel outlived its course"
        time.sleep(0.1)


# ---- stored outputs


def stored(folder, *cells):
    path = chapter(folder / "01_a.ipynb", "# A", *cells)
    (folder / "out").mkdir()
    return path, path.read_bytes(), run_chapter(path, folder / "out", store=True)


def test_stored_outputs_are_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    bar = "from tqdm.auto import tqdm\nfor i in tqdm(range(3), disable=False): print(i)"
    path, before, run = stored(tmp_path, *GOOD[1:], PICTURE, bar, "object()")
    assert run.passed, run.error
    nb = nbformat.read(path, 4)
    outputs = [o for c in nb.cells for o in c.get("outputs", [])]
    assert [o.get("name") or next(iter(o.data)) for o in outputs] == [
        "text/plain",
        "stdout",
        "image/png",
        "stdout",
        "text/plain",
    ]
    assert outputs[2].metadata["image/png"]["alt"].startswith('A "dot"')
    assert outputs[-1].data["text/plain"] == "<object>", (
        "an address in memory changes with every run"
    )
    assert all(c.execution_count is None for c in nb.cells if c.cell_type == "code")
    assert [c.source for c in nb.cells] == [
        c["source"] for c in nbformat.reads(before.decode(), 4).cells
    ]
    whole = path.read_bytes()
    (tmp_path / "settings.ini").write_text(
        "[DEFAULT]\nlib_name = a\nnbs_path = .\nuser = a\nversion = 1\n"
    )
    subprocess.run(
        [Path(sys.executable).parent / "nbdev_clean", "--fname", path],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert path.read_bytes() == whole, "nbdev_clean has nothing left to do"


@pytest.mark.parametrize(
    "cell",
    [
        "import os\nos.getcwd()",
        "from pathlib import Path\nprint('a line'); print(Path.home())",
        "import sys\nfrom IPython.display import HTML\nHTML(f'<a href=\"{sys.prefix}\">here</a>')",
    ],
)
def test_an_output_that_shows_this_machine_is_refused(tmp_path, cell):
    path, before, run = stored(tmp_path, "1", cell)
    assert not run.passed and "cell 3" in run.error and "path of this machine" in run.error
    assert path.read_bytes() == before


def test_a_picture_may_contain_any_letters(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/somebody")
    letters = "iVBORw0KGgo+/somebody/AAAA"
    executed = chapter(tmp_path / "executed.ipynb", "# A", "1")
    nb = nbformat.read(executed, 4)
    nb.cells[1].outputs = [
        nbformat.v4.new_output(
            "display_data",
            {"image/png": letters, "text/html": f"<img src='data:image/png;base64,{letters}'>"},
        )
    ]
    nbformat.write(nb, executed)
    path = tmp_path / "source.ipynb"
    shutil.copy(executed, path)
    store_outputs(executed, path)
    assert len(nbformat.read(path, 4).cells[1].outputs) == 1


def test_a_failed_or_edited_chapter_is_left_alone(tmp_path):
    path, before, run = stored(tmp_path, "1/0")
    assert not run.passed and path.read_bytes() == before
    executed = tmp_path / "out" / "01_a.ipynb"
    chapter(path, "# A", "2")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="was edited while it ran"):
        store_outputs(executed, path)
    assert path.read_bytes() == before


# ---- a page without a run


def test_a_notebook_becomes_a_page_beside_it(tmp_path):
    (tmp_path / "dot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    path = chapter(
        tmp_path / "a.ipynb", "# A\n\n![a dot](dot.svg)\n\n$x^2$", "#| echo: false\n1 + 1"
    )
    page = to_html(path, tmp_path).read_text("utf-8")
    assert (
        (tmp_path / "a.html").exists()
        and 'alt="a dot"' in page
        and "data:image/svg" in page
        and "All chapters" not in page
    )
    assert "MathJax" in page and "MathJax" not in to_html(
        chapter(tmp_path / "b.ipynb", "# B"), tmp_path
    ).read_text("utf-8")


def test_processed_takes_a_notebook_or_its_path_and_changes_neither(tmp_path):
    path = chapter(
        tmp_path / "a.ipynb",
        "# A",
        "#| hide\n1",
        "#| echo: false\n2",
        "#| export\n3",
        "#| include: false\n4",
    )
    nb = nbformat.read(path, 4)
    for one in (nb, path, str(path)):
        cells = processed(one).cells
        assert [c.source for c in cells] == ["# A", "2", "3"]
        assert cells[1].metadata["transient"]["remove_source"]
    assert nb == nbformat.read(path, 4)
