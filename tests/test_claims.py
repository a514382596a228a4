"""Claims: each planted fault turns the check red, with and without `python -O`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from malaria_nb.claims import (
    COVERAGE,
    check_claims,
    check_coverage,
    claim,
    count_claims,
    given,
    passages,
    read_chapter,
    read_ledger,
    rounded,
    shown,
    unclaimed,
)

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / "nbs"

PROSE = """# Results

By patient the basic CNN calls **0.944** of the cells right, and
the threshold 0.950.

- It misses 300 parasites.

See chapter 12, seed 42, `0.1`, $0.2$ and [a link](page.html#0.3).
"""
LEDGER = """
from malaria_nb.claims import claim, rounded
from malaria_nb.records import load

basic, purple = (load(name).metrics for name in ("basic_cnn", "purple_threshold"))

claim(
    "By patient the basic CNN calls **0.944** of the cells right, and the threshold 0.950.",
    rounded(basic.loc["accuracy", "value"]) == 0.944 and len(basic) > 1,
    rounded(purple.loc["accuracy", "value"]) == 0.950,
)
"""


@pytest.fixture
def nbs(tmp_path):
    "A course of one chapter, its ledger and the two records that it reads."
    for name in ("basic_cnn-patient-s42", "purple_threshold-patient-s42"):
        shutil.copytree(NBS / "records" / name, tmp_path / "records" / name)
    (tmp_path / "claims").mkdir()
    write_ledger(tmp_path, LEDGER)
    write_chapter(tmp_path, PROSE)
    return tmp_path


def write_ledger(nbs, text, name="06_results"):
    (nbs / "claims" / f"{name}.py").write_text(text, encoding="utf-8")


def write_chapter(nbs, *markdown, code="load('basic_cnn')"):
    cells = [nbformat.v4.new_markdown_cell(text) for text in markdown]
    cells.append(nbformat.v4.new_code_cell(code))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), nbs / "06_results.ipynb")


def whys(nbs):
    return [fault.why for fault in check_claims(nbs)]


# -- the course ----------------------------------------------------------------------------------


# `make records` asks the same, so this is for whoever runs pytest alone
@pytest.mark.weekly
def test_every_claim_of_the_course_holds():
    assert check_claims(NBS) == []


def test_no_chapter_hides_an_assertion_of_a_result():
    for path in sorted(NBS.glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            assert not "".join(cell["source"]).startswith("#| claim"), (path.name, cell["id"])


@pytest.mark.weekly  # it takes as long as `make records`
def test_the_check_needs_neither_keras_nor_matplotlib():
    code = (
        "import sys; from pathlib import Path; from malaria_nb.claims import check_claims; "
        f"check_claims(Path({str(NBS)!r})); "
        "print(sorted({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- planted faults ------------------------------------------------------------------------------


def test_what_is_true_passes(nbs):
    assert check_claims(nbs) == []


def test_a_word_is_changed(nbs):
    write_chapter(nbs, PROSE.replace("calls", "finds"))
    (why,) = whys(nbs)
    assert "no longer says" in why and "By patient the basic CNN calls **0.944**" in why


def test_a_sentence_is_removed(nbs):
    write_chapter(nbs, "# Results\n\nNothing.")
    assert "no longer says" in whys(nbs)[0]


def test_a_number_is_false_in_prose_and_ledger(nbs):
    write_chapter(nbs, PROSE.replace("0.944", "0.994"))
    write_ledger(nbs, LEDGER.replace("0.944", "0.994"))
    (fault,) = check_claims(nbs)
    assert "is not true" in fault.why and "is 0.944" in fault.why and "== 0.994" in fault.why
    assert "06_results.py, line 7" in fault.mend


def test_a_number_is_false_in_the_prose_alone(nbs):
    write_chapter(nbs, PROSE.replace("0.944", "0.994"))
    assert "no longer says" in whys(nbs)[0]


def test_a_record_changes(nbs):
    path = nbs / "records" / "basic_cnn-patient-s42" / "record.json"
    about = json.loads(path.read_text("utf-8"))
    about["metrics"]["accuracy"][0] = 0.9
    path.write_text(json.dumps(about), encoding="utf-8")
    assert "is 0.9" in whys(nbs)[0]


def test_a_record_is_gone(nbs):
    shutil.rmtree(nbs / "records" / "basic_cnn-patient-s42")
    assert "FileNotFoundError" in whys(nbs)[0]


def test_a_ledger_has_no_chapter(nbs):
    (nbs / "06_results.ipynb").rename(nbs / "07_results.ipynb")
    assert whys(nbs) == ["the ledger has no chapter"]


@pytest.mark.parametrize(
    "fault",
    [
        'claim("By patient")',
        "claim(sentence, True)",
        'given("By patient", "")',
        'claim("", True)',
        'claim("By patient", True',
    ],
)
def test_an_entry_that_claims_nothing_is_a_fault(nbs, fault):
    write_ledger(nbs, LEDGER + fault)
    assert len(whys(nbs)) == 1


def test_one_false_claim_hides_no_other(nbs):
    extra = 'claim("It misses 300 parasites.", 1 == 2)\nclaim("the threshold 0.950.", [] or 0)\n'
    write_ledger(nbs, LEDGER + extra)
    first, second = whys(nbs)
    assert "1 == 2 is not true" in first and "[] or 0 is 0" in second


def test_ledgers_share_nothing(nbs):
    shutil.copy(nbs / "06_results.ipynb", nbs / "07_more.ipynb")
    write_ledger(nbs, 'claim("It misses 300 parasites.", basic is not None)', "07_more")
    assert "NameError" in whys(nbs)[0]


def test_an_assertion_in_a_ledger_counts_even_where_python_drops_it(nbs):
    write_ledger(nbs, LEDGER + "assert 1 == 2\n")
    assert "AssertionError" in whys(nbs)[0]


@pytest.mark.parametrize("fault", ["word", "number", "sentence", "assert", None])
def test_the_faults_are_seen_without_assertions(nbs, fault):
    "`python -O` drops assertions from all code; the check must not."
    if fault == "word":
        write_chapter(nbs, PROSE.replace("calls", "finds"))
    if fault == "number":
        write_chapter(nbs, PROSE.replace("0.944", "0.994"))
        write_ledger(nbs, LEDGER.replace("0.944", "0.994"))
    if fault == "sentence":
        write_chapter(nbs, "# Results")
    if fault == "assert":
        write_ledger(nbs, LEDGER + "assert 1 == 2\n")
    code = (
        "import sys; from pathlib import Path; from malaria_nb.claims import check_claims; "
        f"sys.exit(len(check_claims(Path({str(nbs)!r}))))"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], cwd=ROOT)
    assert done.returncode == (fault is not None)


# -- where a sentence may stand ------------------------------------------------------------------


def test_a_figure_s_title_can_be_quoted(nbs):
    write_chapter(nbs, PROSE, code='plot(title="The threshold " "leads")')
    write_ledger(nbs, LEDGER + 'claim("The threshold leads", True)\n')
    assert check_claims(nbs) == []


def test_a_comment_or_a_name_in_code_is_no_sentence(nbs):
    write_chapter(nbs, PROSE, code="leads = 1  # the threshold leads")
    write_ledger(nbs, LEDGER + 'claim("the threshold leads", True)\n')
    assert "no longer says" in whys(nbs)[0]


def test_a_page_of_markdown_has_a_ledger_too(nbs):
    (nbs / "card.md").write_text("It has\n27,558 cells.", encoding="utf-8")
    write_ledger(nbs, 'claim("It has 27,558 cells.", True)', "card")
    assert check_claims(nbs) == []


def test_what_a_cell_shows(tmp_path):
    figure = nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "Figure"})
    figure.metadata = {"image/png": {"alt": "Two lines."}}
    outputs = [
        nbformat.v4.new_output("stream", text="12 cells\n"),
        nbformat.v4.new_output(
            "execute_result", {"text/html": "<style>p {}</style><b>0.5</b>\n<td>1</td>"}
        ),
        figure,
    ]
    cell = nbformat.v4.new_code_cell("draw(x)", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    assert shown("draw(", tmp_path / "a.ipynb") == "12 cells 0.5 1 Two lines. Figure"
    with pytest.raises(ValueError, match="0 cells of a.ipynb have 'paint'"):
        shown("paint", tmp_path / "a.ipynb")
    with pytest.raises(ValueError, match="needs a chapter"):
        shown("draw(")


# -- coverage ------------------------------------------------------------------------------------


def test_numbers_without_a_claim_are_listed(nbs):
    assert unclaimed(nbs)[["section", "numbers"]].values.tolist() == [["Results", "300"]]
    row = count_claims(nbs).loc["06_results"]
    assert row[["claims", "passages", "not covered", "numbers", "unclaimed"]].tolist() == [
        *(1, 2, 1, 3, 1)
    ]
    assert not row["complete"]


def test_a_complete_chapter_must_have_none(nbs):
    write_ledger(nbs, LEDGER + "complete = True\n")
    assert whys(nbs) == ['no claim for 300 in "- It misses 300 parasites."']
    extra = 'given("It misses 300 parasites.", "the article")\ncomplete = True\n'
    write_ledger(nbs, LEDGER + extra)
    assert check_claims(nbs) == []


def test_a_section_without_records_or_claims_has_no_results(nbs):
    write_chapter(nbs, PROSE, "## Elsewhere\n\nAbout 17 of 20.", code="x = 1")
    (tmp,) = [p.section for p in passages(read_chapter(nbs / "06_results.ipynb"))] or ["none"]
    assert tmp == "none"
    ledger = read_ledger(nbs / "claims" / "06_results.py")
    found = passages(read_chapter(nbs / "06_results.ipynb"), ledger.entries)
    assert {p.section for p in found} == {"Results"}


def test_what_is_a_number():
    from malaria_nb.claims import Text

    text = (
        "Load it: 0.95, 1,397 of 27,558, 95.4 %, 95 % intervals, VGG-19, chapters 11 and 12, in "
        "2019, at 64 × 64 pixels, 3 of 5, seeds 43 and 44, −0.002 to 12."
    )
    chapter = [Text("markdown", text), Text("code", "load('x')")]
    (found,) = passages(chapter)
    assert found.numbers == ["0.95", "1,397", "27,558", "95.4 %", "0.002", "12"]


@pytest.fixture
def counted(nbs):
    count_claims(nbs)[["claims", "unclaimed"]].to_csv(nbs / COVERAGE)
    return nbs


def less(nbs):
    return [fault.why for fault in check_coverage(nbs)]


def test_the_course_claims_no_less_than_it_did():
    assert check_coverage(NBS) == []


def test_what_is_claimed_as_before_passes(counted):
    assert less(counted) == []


def test_claims_that_are_deleted_are_missed(counted):
    write_ledger(counted, LEDGER.partition("claim(")[0])
    assert "its ledger has 0 claims, and had 1" in less(counted)


def test_a_ledger_that_is_deleted_is_missed(counted):
    (counted / "claims" / "06_results.py").unlink()
    assert "its ledger is gone" in less(counted)
    assert "it tells results and has no ledger" in less(counted)


def test_a_new_number_without_a_claim_is_missed(counted):
    write_chapter(counted, PROSE + "\nIt finds 17.5 of them.\n")
    assert (
        "2 numbers of its results have no claim; coverage.csv allows 1 (--coverage lists them)"
        in (less(counted))
    )


def test_a_claim_of_a_constant_claims_nothing(counted):
    write_ledger(counted, LEDGER + 'claim("It misses 300 parasites.", True)\n')
    assert any("a constant is always true" in why for why in less(counted))


def test_the_list_of_coverage_is_missed(counted):
    (counted / COVERAGE).unlink()
    assert less(counted) == ["is missing"]


# -- the functions that a ledger is written with -------------------------------------------------


def test_claim_works_by_itself():
    claim("Two", 1 + 1 == 2)
    given("Three", "arithmetic")
    with pytest.raises(ValueError, match="expression 2 after 'Two'"):
        claim("Two", True, 1 + 1 == 3)
    with pytest.raises(ValueError, match="nothing is claimed"):
        claim("Two")
    with pytest.raises(ValueError, match="where the numbers"):
        given("Two", " ")


def test_rounded_numbers_compare_equal():
    import pandas as pd

    row = pd.Series({"value": -0.0004, "low": 0.12345, "high": 1, "survives": True})
    assert rounded(row) == [0.0, 0.123, 1.0]
    assert str(rounded(-0.0001)) == "0.0"
    assert rounded([[1.26, 2]], 1) == [[1.3, 2.0]]


# -- what a merge leaves behind ------------------------------------------------------------------

CONFLICT = '{"cells": [\n<<<<<<< HEAD\n=======\n>>>>>>> theirs\n]}'


@pytest.mark.parametrize("text", [CONFLICT, "", "[]", '{"cells": null}', '{"cells": [5]}'])
def test_a_chapter_that_is_none_is_named_and_hides_no_other(counted, text):
    (counted / "claims" / "07_other.py").write_text(LEDGER)
    (counted / "07_other.ipynb").write_text(text)
    (counted / "08_third.ipynb").write_text(text)
    write_chapter(counted, PROSE.replace("calls", "finds"))
    assert {fault.what for fault in check_claims(counted)} == {"06_results", "07_other"}
    (counted / "claims" / "07_other.py").unlink()
    assert any(fault.what == "08_third" for fault in check_coverage(counted))


def test_a_ledger_that_ends_python_does_not_pass(nbs):
    write_ledger(nbs, "import sys\n\nsys.exit()\n" + LEDGER)
    assert "raises SystemExit" in whys(nbs)[0]


@pytest.mark.parametrize("text", ["", "chapter\n", "\xff", "a,b\n1,2\n", "chapter,claims\nx,1\n"])
def test_a_list_of_coverage_that_is_none_is_named(counted, text):
    (counted / COVERAGE).write_text(text, "latin-1")
    (why,) = less(counted)
    assert why.startswith("can't be read")


def test_a_line_of_the_list_of_coverage_that_is_gone_is_missed(counted):
    (counted / COVERAGE).write_text("chapter,claims,unclaimed\n")
    assert less(counted) == ["it has a ledger, and no line in nbs/claims/coverage.csv"]


@pytest.mark.parametrize("stem", ["01_dataset", "16_compact"])
def test_a_ledger_runs_as_a_script_beside_its_chapter(stem):
    script = ROOT / "nbs" / "claims" / f"{stem}.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
