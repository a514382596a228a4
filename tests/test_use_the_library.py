"""Every block of docs/use.md runs, in the light core, and does what the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "use.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n.*?^```python\n(.+?)^```", PAGE, re.M | re.S))
# what must hold after a section's block, in its own names
HOLDS = {
    "Split without leaking": """
assert (shared_groups(split)["also in training"] == 0).all()
assert not set(train.patient) & set(test.patient) and len(train) + len(test) == len(cells)
""",
    "Score files": """
assert not any(p.skipped for p in scored)
assert network.score.between(0, 1).all() and len(network) > 1_000
""",
    "Intervals by patient": """
given = table.dropna()  # where too few patients have an error, there is no interval
assert len(given) >= 6
assert (given["low"] <= given["value"]).all() and (given["value"] <= given["high"]).all()
assert table.loc["accuracy", "value"] > 0.8
by_cell = evaluate(test["label"], test["score"]).loc[given.index]
assert (by_cell["high"] - by_cell["low"] < given["high"] - given["low"]).mean() > 0.5
""",
    "Compare two models on the same cells": """
assert images.shape == (len(split), 64, 64, 3)
assert difference(network, rival, split="test").loc["auc", "low"] > 0
""",
    "Calibrate, and choose a threshold": """
assert temperature > 0 and 0 < threshold <= 1.001
""",
    "Cut out and count a field": """
assert len(crops) == count["cells"] and crops.shape[1:] == (64, 64, 3)
assert abs(count["cells"] - ((truth.kind == "red") & ~truth.edge).sum()) < 10
""",
}
# runs the sections in one namespace, as a reader does, and says what became of each
RUNNER = """
import json, sys, traceback

class Blocked:  # what no core installation has
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"keras", "tensorflow", "matplotlib", "nbdev", "IPython"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
names, said = {}, {}
for title, block in json.load(sys.stdin).items():
    try:
        exec(block, names)
        said[title] = ""
    except Exception:
        said[title] = traceback.format_exc()
print("\\n" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    blocks = {title: block + HOLDS.get(title, "") for title, block in SECTIONS.items()}
    folder = tmp_path_factory.mktemp("reader")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MALARIA_NB_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(blocks),
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_page_shows_the_six_things_in_about_ten_lines_each():
    assert list(SECTIONS) == list(HOLDS)
    assert len(re.findall(r"^## ", PAGE, re.M)) == PAGE.count("```python") == 6
    for title, block in SECTIONS.items():
        lines = [line for line in block.splitlines() if line.strip()]
        assert len(lines) <= 16, title
        assert max(map(len, lines)) <= 90, title


@pytest.mark.parametrize("title", SECTIONS)
def test_block_runs_without_keras(said, title):
    assert not said[title], said[title]


def test_links_lead_somewhere():
    links = re.findall(r"\]\((\.\./[^)#]+)", PAGE)
    assert links and all((ROOT / "docs" / link).exists() for link in links)
