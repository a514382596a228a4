"""tools/demo.py: nothing unpinned gets into the page, and who can't build it is told why."""

import runpy
from pathlib import Path

import pytest

from malaria_nb.records import read_table

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def demo(monkeypatch, tmp_path):
    "The tool, with a home of its own and neither npm nor a registry."
    monkeypatch.setenv("MALARIA_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("npm_config_registry", raising=False)
    (tmp_path / "bin").mkdir()
    return runpy.run_path(str(ROOT / "tools" / "demo.py"))


def npm(tmp_path, script):
    path = tmp_path / "bin" / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_package_that_is_not_the_pinned_one_is_refused_and_not_kept(demo, tmp_path):
    npm(tmp_path, "echo something else > package-1.0.tgz")
    for package in demo["PACKAGES"]:
        with pytest.raises(demo["CantBuild"], match="not what was pinned"):
            demo["unpacked"](package, tmp_path / "home" / "npm")
    assert list((tmp_path / "home").rglob("*.tgz")) == []


@pytest.mark.parametrize(
    "script, says",
    [(None, "install npm"), ("echo no such registry >&2; exit 1", "no such registry")],
)
def test_who_cannot_get_a_package_is_told_why(demo, tmp_path, script, says):
    if script:
        npm(tmp_path, script)
    with pytest.raises(demo["CantBuild"], match=says):
        demo["unpacked"](next(iter(demo["PACKAGES"])), tmp_path)


def test_without_npm_the_named_registry_is_asked(demo, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setattr(
        demo["requests"],
        "get",
        lambda url, timeout: (
            asked.append(url) or (_ for _ in ()).throw(demo["requests"].ConnectionError("nobody"))
        ),
    )
    with pytest.raises(demo["CantBuild"], match="nobody"):
        demo["unpacked"](next(iter(demo["PACKAGES"])), tmp_path)
    assert asked == ["http://127.0.0.1:9/@litertjs/core/-/core-2.5.3.tgz"]


def test_the_page_says_of_other_laboratories_what_the_records_say():
    page = (ROOT / "docs" / "demo" / "index.html").read_text("utf-8")
    thai, iml = (read_table(f"15_external-{name}-counts") for name in ("chula", "iml"))
    assert f"it called {100 * thai['called'].sum() / thai['red'].sum():.1f}&nbsp;% of" in page
    runs = iml[iml["refused"] == "no"].groupby("run").sum(numeric_only=True)
    sick = runs["parasitized"] / runs["whole"]
    times = (runs["called"] / runs["red"] / sick).loc[1]
    missed = 1 - (runs["parasitized_called"] / runs["parasitized"]).loc[2]
    words = {3: "three times", 4: "four times"}, {4: "four in ten", 5: "half"}
    assert f"counted {words[0][round(times)]} as many" in page
    assert f"missed {words[1][round(10 * missed)]} in the next" in page
