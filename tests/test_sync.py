"""What is written twice must agree: chapters and library, settings and lock, index and README."""

import ast
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT / "nbs").glob("*.ipynb"))
NOTEBOOKS = [
    *CHAPTERS,
    *sorted((ROOT / "nbs").glob("checks/*.ipynb")),
    *sorted((ROOT / "nbs").glob("exercises/*.ipynb")),
    *sorted((ROOT / "nbs").glob("solutions/*.ipynb")),
]
GIT_URL = re.search(r"^git_url = (.+)$", (ROOT / "settings.ini").read_text("utf-8"), re.M)[1]
the_map = runpy.run_path(str(ROOT / "tools" / "map.py"))
LAYERS = the_map["LAYERS"]
MODULES = the_map["modules"]()
made = runpy.run_path(str(ROOT / "tools" / "requirements.py"))  # its functions, without its main


def cells(chapter, kind=None):
    return [
        c for c in json.loads(chapter.read_text("utf-8"))["cells"] if kind in (None, c["cell_type"])
    ]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy of what nbdev reads and writes, so that a failing test leaves the checkout as it was."
    to = tmp_path_factory.mktemp("checkout")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, to)
    for name in ("nbs", "malaria_nb"):
        shutil.copytree(
            ROOT / name,
            to / name,
            ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"),
        )
    return to


def differences(here, there, pattern):
    names = {p.relative_to(f).as_posix() for f in (here, there) for p in f.glob(pattern)}

    def text(path):
        return path.read_text("utf-8") if path.exists() else None

    return sorted(n for n in names if text(here / n) != text(there / n))


def nbdev(command, folder):
    subprocess.run(
        [Path(sys.executable).parent / command], cwd=folder, check=True, capture_output=True
    )


def test_exporting_changes_nothing(copy):
    nbdev("nbdev_export", copy)
    assert not differences(ROOT / "malaria_nb", copy / "malaria_nb", "**/*.py"), (
        "run nbdev_export and commit what it changes"
    )


def test_exported_lines_are_within_100_columns():  # ruff looks at the notebooks only
    for path in (ROOT / "malaria_nb").rglob("*.py"):
        if path.name == "_modidx.py":  # nbdev's index, read by no one
            continue
        text = path.read_text("utf-8")
        # nbdev breaks this list at 120 columns, and has no setting for it
        text = re.sub(r"^__all__ = \[.*?\]$", "", text, count=1, flags=re.M | re.S)
        long = [line for line in text.splitlines() if len(line) > 100]
        assert not long, f"{path.name}: {long}; a first line is its notebook's subtitle"


def test_notebooks_are_clean(copy):
    nbdev("nbdev_clean", copy)
    for folder in ("nbs", "nbs/checks", "nbs/exercises", "nbs/solutions"):
        assert not differences(ROOT / folder, copy / folder, "*.ipynb"), (
            "run nbdev_clean and commit what it changes"
        )


def test_readme_is_made_from_the_index():
    for path, content in runpy.run_path(str(ROOT / "tools" / "readme.py"))["readme"]().items():
        assert (ROOT / path).read_bytes() == content, (
            f"{path} is not what nbs/index.ipynb says: run make readme"
        )


def test_index_lists_every_chapter_as_it_calls_itself():
    shown = "".join(
        "".join(output.get("data", {}).get("text/markdown", ""))
        for cell in cells(ROOT / "nbs" / "index.ipynb", "code")
        for output in cell["outputs"]
    )
    for chapter in (c for c in CHAPTERS if c.stem < "70"):
        first = "".join(cells(chapter, "markdown")[0]["source"])
        title, subtitle = re.match(r"# (.+)\n\n> (.+)", first).groups()
        assert f"| [{title}]({chapter.name}) | {subtitle} |" in shown, (
            f"nbs/index.ipynb doesn't list {chapter.name} as it calls itself: run "
            "malaria-nb course --cells sample --only index --store, then make readme"
        )


def test_reference_can_be_written_for_every_module():  # or the book would stop there
    reference = runpy.run_path(str(ROOT / "tools" / "book.py"))["reference"]
    for module in MODULES:
        assert reference(module).startswith(f"# malaria_nb.{module}\n")


def test_map_is_made_from_chapters_and_imports():
    for path, text in runpy.run_path(str(ROOT / "tools" / "map.py"))["made"]().items():
        assert (ROOT / "nbs" / path).read_text("utf-8") == text, "run make map"


def test_no_chapter_of_the_map_asks_for_a_later_one():  # VGG-19 is no chapter
    chapters = the_map["lessons"](the_map["notebooks"]())
    asked = [(c["number"], before) for c in chapters for before in c["before"] if before < "70"]
    assert [(number, before) for number, before in asked if before >= number] == []


def test_cards_are_made_from_the_records():
    for path, text in runpy.run_path(str(ROOT / "tools" / "cards.py"))["made"]().items():
        assert (ROOT / "nbs" / path).read_text("utf-8") == text, "run make cards"


def test_checklists_answer_where_they_say():  # an answered item links to a page that is there
    from malaria_nb.cards import read_checklists

    for row in read_checklists(ROOT / "nbs" / "checklists.csv").itertuples():
        for target in re.findall(r"\]\(([^)]+)\)", row.where):
            assert (ROOT / "nbs" / target).is_file(), f"{row.guideline} {row.item}: {target}"


@pytest.mark.parametrize(
    "notebook", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "nbs").as_posix()
)
def test_notebook_gets_the_course_on_colab(notebook, monkeypatch):
    first = "".join(cells(notebook, "code")[0]["source"])
    ran = []
    monkeypatch.setattr(
        subprocess, "run", lambda line, **k: ran.append(line) or SimpleNamespace(returncode=0)
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    exec(first, {})
    assert not ran, "outside of Colab nothing is installed"
    monkeypatch.setitem(sys.modules, "google.colab", ast)
    exec(first, {})
    assert (
        first.startswith("#| hide\n")
        and len(ran) == 1
        and f"git clone -q --depth 1 {GIT_URL} && pip install" in ran[0]
    )


def test_environment_is_made_from_settings():
    assert (ROOT / "environment.yml").read_text("utf-8") == made["environment"](), "run make lock"
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert environment["dependencies"][-1]["pip"] == made["requirements"](*made["COURSE"])


LOCKS = {"requirements.lock": made["COURSE"], "requirements-dev.lock": made["ALL"]}


def locked(name):
    "Read a lock: its entries, each on a line."
    text = (ROOT / name).read_text("utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_a_version_for_every_requirement(name):
    found = [Requirement(line.partition(" --hash")[0]) for line in locked(name)]
    assert all(len(r.specifier) == 1 and "==" in str(r.specifier) for r in found)
    for line in made["requirements"](*LOCKS[name]):
        wanted = Requirement(line)
        versions = [
            next(iter(r.specifier)).version
            for r in found
            if canonicalize_name(r.name) == canonicalize_name(wanted.name)
        ]
        assert versions, f"{wanted.name} is not in {name}: run make lock"
        assert all(Version(v) in wanted.specifier for v in versions), (
            f"{line} and {name}'s {versions} disagree: run make lock"
        )


@pytest.mark.parametrize("name", LOCKS)
def test_lock_names_files_by_their_hashes_and_no_registry(name):
    for line in locked(name):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}\b", line), line[:80]
    assert "://" not in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_a_system_gets_one_tensorflow_and_linux_the_smaller_one(name, system):
    here = {"sys_platform": system, "platform_machine": "x86_64" if system != "darwin" else "arm64"}
    found = [Requirement(line.partition(" --hash")[0]) for line in locked(name)]
    found = [r for r in found if r.name in ("tensorflow", "tensorflow-cpu")]
    (chosen,) = (r.name for r in found if r.marker.evaluate(here))
    assert chosen == ("tensorflow-cpu" if system == "linux" else "tensorflow")


def test_course_and_maintainers_have_the_same_versions():
    course, dev = (
        {line.split(" ", 1)[0]: set(re.findall("sha256:[0-9a-f]+", line)) for line in locked(name)}
        for name in LOCKS
    )
    assert {entry: dev.get(entry) for entry in course} == course, "run make lock"


def test_actions_are_pinned_by_their_commits():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for line in path.read_text("utf-8").splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [\w/-]+@[0-9a-f]{40}  # v\d+(\.\d+)+$", line), line


def test_every_requirement_has_its_reason():
    lines = (ROOT / "settings.ini").read_text("utf-8").split("requirements =\n", 1)[1].splitlines()
    for before, line in zip(lines, lines[1:]):
        if re.match(r"    [a-z]", line) and re.match(r"    [a-z]", before):
            assert line.strip().split("<")[0] in ("fastcore", "ghapi", "execnb"), (
                f"no reason above {line.strip()!r} in settings.ini"
            )


def test_every_module_comes_from_a_notebook_and_has_a_layer():  # in whatever folder it is
    exported = {n["module"] for n in the_map["notebooks"]() if n["module"]}
    assert not exported - set(MODULES), "run nbdev_export"
    assert not set(MODULES) - exported, "no notebook exports these: delete the files"
    homeless = [m for m in MODULES if not the_map["layer_of"](m)]
    assert not homeless, f"{homeless}: name their layer in tools/map.py, in LAYERS, then make map"


def test_modules_import_only_from_their_own_layer_and_those_above():
    assert {"archive", "stats"} <= the_map["imports"]("dataset") | the_map["imports"]("evaluation")
    order = list(LAYERS)
    for module in MODULES:
        if not the_map["layer_of"](module):
            continue  # the test above says what to do
        rank = order.index(the_map["layer_of"](module))
        above = set(order[: rank + 1])
        low = {m for m in the_map["imports"](module) if the_map["layer_of"](m) not in above}
        assert not low, (
            f"{module} imports {low}, which are in layers below its own: move what it needs "
            "of them up, or the module down (LAYERS in tools/map.py)"
        )


@pytest.mark.parametrize(
    "module, heavy",
    [
        ("course", {"tensorflow", "keras", "matplotlib", "sklearn", "pandas"}),
        ("predict", {"tensorflow", "keras", "matplotlib", "sklearn", "pandas", "ai_edge_litert"}),
        ("weights", {"tensorflow", "keras", "matplotlib", "sklearn", "pandas"}),
        ("diagrams", {"tensorflow", "keras"}),
        ("dataset", {"tensorflow", "keras", "matplotlib", "sklearn"}),
        ("cli", {"tensorflow", "keras", "matplotlib", "sklearn"}),
    ],
)
def test_imports_stay_light(module, heavy):
    code = f"import malaria_nb.{module}, sys; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.split()
    )
    assert not loaded & heavy


# ---- the chapters' form


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_chapter_has_the_shape_of_a_chapter(chapter):
    text = ["".join(c["source"]) for c in cells(chapter, "markdown")]
    first, body = text[0], "\n".join(text)
    assert re.match(r"# [^\n]+\n\n> [^\n]+", first), (
        "a chapter opens with one H1 and a one-line > subtitle"
    )
    assert len(re.findall(r"^# ", body, re.M)) == 1, "a chapter has one H1"
    if chapter.stem < "70":
        for part in ("**You will learn**", "**Cost**", "## Recap", "## Further reading"):
            assert part in body, f"{part} is missing: every chapter below 70 has it, see 03_cnn"
    levels = [len(h) for h in re.findall(r"^(#+) ", body, re.M)]
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:])), "headings skip a level"


@pytest.mark.parametrize("chapter", [c for c in CHAPTERS if c.stem < "70"], ids=lambda p: p.stem)
def test_reader_chooses_an_answer_before_it_is_shown(chapter):
    every = [(c["cell_type"], "".join(c["source"]), c["metadata"]) for c in cells(chapter)]
    asked = [
        i
        for i, (kind, source, _) in enumerate(every)
        if kind == "markdown" and "**Predict.**" in source
    ]
    assert len(asked) >= 2, (
        "a chapter asks its reader twice at least: a cell with **Predict.**, a question, and each "
        "answer as <details><summary>…</summary>; see 03_cnn"
    )
    for i in asked:
        question = every[i][1]
        assert (
            2
            <= question.count("<details><summary>")
            == question.count("</summary>\n\n")
            == question.count("\n\n</details>")
        ), (
            "two answers at least, each <details><summary>…</summary>, with an empty line before "
            f"and after its text: {question}"
        )
        answer = next(
            meta
            for kind, source, meta in every[i + 1 :]
            if kind == "code" and not source.startswith("#| hide")
        )
        assert answer.get("jupyter", {}).get("outputs_hidden"), (
            f"the answer stands open below {question[:80]!r}: fold the next cell's output "
            'in JupyterLab, which gives it the metadata "jupyter": {"outputs_hidden": true}'
        )


@pytest.mark.parametrize("chapter", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "nbs").as_posix())
def test_stored_outputs_are_fit_to_be_read(chapter):
    assert chapter.stat().st_size < 2_000_000, (
        "a clone carries this for ever: store smaller figures"
    )
    for cell in cells(chapter, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", "a stored error"
            assert output.get("name") != "stderr", "a stored message of a library"
            if "image/png" in output.get("data", {}):
                assert output["metadata"].get("image/png", {}).get("alt"), (
                    "a stored picture without alt text"
                )
        assert not re.search(r"/(home|root|Users|tmp|work)/\w", json.dumps(cell["outputs"])), (
            "a path of somebody's machine"
        )


@pytest.mark.parametrize("chapter", NOTEBOOKS, ids=lambda p: p.relative_to(ROOT / "nbs").as_posix())
def test_links_between_chapters_lead_somewhere(chapter):
    for link in re.findall(
        r"\]\(([^)#\s]+)[^)]*\)",
        "\n".join("".join(c["source"]) for c in cells(chapter, "markdown")),
    ):
        if not re.match(r"[a-z]+:", link):
            assert (chapter.parent / link).exists(), f"{link} is not there"
