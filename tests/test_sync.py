"""What is written twice must agree: chapters and library, settings and lock, index and README."""
import ast, json, re, runpy, shutil, subprocess, sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted((ROOT/"nbs").glob("*.ipynb"))
FLOW = ["course", "screening", "synthetic", "dataset", "images", "cnn", "transfer", "training", "evaluation", "experiments", "notebooks", "exercises", "checks", "cli"]
made = runpy.run_path(str(ROOT/"tools"/"requirements.py"))  # its functions, without its main


def cells(chapter, kind=None):
    return [c for c in json.loads(chapter.read_text("utf-8"))["cells"] if kind in (None, c["cell_type"])]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy of what nbdev reads and writes, so that a failing test leaves the checkout as it was."
    to = tmp_path_factory.mktemp("checkout")
    for name in ("settings.ini", "setup.py", "pyproject.toml", "README.md"): shutil.copy(ROOT/name, to)
    for name in ("nbs", "malaria_nb"):
        shutil.copytree(ROOT/name, to/name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    return to


def differences(here, there, pattern):
    names = {p.name for p in (*here.glob(pattern), *there.glob(pattern))}
    text = lambda p: p.read_text("utf-8") if p.exists() else None
    return sorted(n for n in names if text(here/n) != text(there/n))


def nbdev(command, folder):
    subprocess.run([Path(sys.executable).parent/command], cwd=folder, check=True, capture_output=True)


def test_exporting_changes_nothing(copy):
    nbdev("nbdev_export", copy)
    assert not differences(ROOT/"malaria_nb", copy/"malaria_nb", "*.py"), "run nbdev_export and commit what it changes"


def test_chapters_are_clean(copy):
    nbdev("nbdev_clean", copy)
    assert not differences(ROOT/"nbs", copy/"nbs", "*.ipynb"), "run nbdev_clean and commit what it changes"


def test_readme_is_made_from_the_index():
    for path, content in runpy.run_path(str(ROOT/"tools"/"readme.py"))["readme"]().items():
        assert (ROOT/path).read_bytes() == content, f"{path} is not what nbs/index.ipynb says: run make readme"


def test_environment_is_made_from_settings():
    assert (ROOT/"environment.yml").read_text("utf-8") == made["environment"](), "run make lock"
    environment = yaml.safe_load((ROOT/"environment.yml").read_text("utf-8"))
    assert environment["dependencies"][-1]["pip"] == made["requirements"]("requirements", "course_requirements")


def test_lock_has_a_version_for_every_requirement():
    locked = [Requirement(line) for line in (ROOT/"requirements.lock").read_text("utf-8").splitlines() if "==" in line]
    assert all(len(r.specifier) == 1 and "==" in str(r.specifier) for r in locked)
    for line in made["requirements"]("requirements", "course_requirements", "cluster_requirements", "docs_requirements", "dev_requirements"):
        wanted = Requirement(line)
        versions = [next(iter(r.specifier)).version for r in locked
                    if canonicalize_name(r.name) == canonicalize_name(wanted.name)]
        assert versions, f"{wanted.name} is not in requirements.lock: run make lock"
        assert all(Version(v) in wanted.specifier for v in versions), f"{line} and the lock's {versions} disagree: run make lock"


def test_every_requirement_has_its_reason():
    lines = (ROOT/"settings.ini").read_text("utf-8").split("requirements =\n", 1)[1].splitlines()
    for before, line in zip(lines, lines[1:]):
        if re.match(r"    [a-z]", line) and re.match(r"    [a-z]", before):
            assert line.strip().split("<")[0] in ("fastcore", "ghapi", "execnb"), f"no reason above {line.strip()!r} in settings.ini"


def test_modules_import_only_what_is_above_them_in_the_flow():
    modules = {p.stem for p in (ROOT/"malaria_nb").glob("*.py")} - {"__init__", "_modidx"}
    assert modules == set(FLOW)
    for module in modules:
        tree = ast.parse((ROOT/"malaria_nb"/f"{module}.py").read_text("utf-8"))
        used = {n.module.split(".")[-1] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module
                and n.module.startswith("malaria_nb.")}
        used |= {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "malaria_nb" for a in n.names}
        late = {u for u in used & set(FLOW) if FLOW.index(u) >= FLOW.index(module)}
        assert not late, f"{module} imports {late}, which come after it in the flow"


@pytest.mark.parametrize("module, heavy", [("course", {"tensorflow", "keras", "matplotlib", "sklearn", "pandas"}),
                                           ("dataset", {"tensorflow", "keras", "matplotlib", "sklearn"}),
                                           ("cli", {"tensorflow", "keras", "matplotlib", "sklearn"})])
def test_imports_stay_light(module, heavy):
    code = f"import malaria_nb.{module}, sys; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())
    assert not loaded & heavy


# ---- the chapters' form

@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_chapter_has_the_shape_of_a_chapter(chapter):
    text = ["".join(c["source"]) for c in cells(chapter, "markdown")]
    first, body = text[0], "\n".join(text)
    assert re.match(r"# [^\n]+\n\n> [^\n]+", first), "a chapter opens with one H1 and a one-line > subtitle"
    assert len(re.findall(r"^# ", body, re.M)) == 1, "a chapter has one H1"
    if chapter.stem != "index":
        for part in ("**You will learn**", "**Cost**", "## Recap", "## Further reading"):
            assert part in body, f"{part} is missing"
    levels = [len(h) for h in re.findall(r"^(#+) ", body, re.M)]
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:])), "headings skip a level"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_stored_outputs_are_fit_to_be_read(chapter):
    assert chapter.stat().st_size < 2_000_000, "a clone carries this for ever: store smaller figures"
    for cell in cells(chapter, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", "a stored error"
            assert output.get("name") != "stderr", "a stored message of a library"
            if "image/png" in output.get("data", {}):
                assert output["metadata"].get("image/png", {}).get("alt"), "a stored picture without alt text"
        assert not re.search(r"/(home|root|Users|tmp|work)/\w", json.dumps(cell["outputs"])), "a path of somebody's machine"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_links_between_chapters_lead_somewhere(chapter):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", "\n".join("".join(c["source"]) for c in cells(chapter, "markdown"))):
        if not re.match(r"[a-z]+:", link): assert (chapter.parent/link).exists(), f"{link} is not there"
