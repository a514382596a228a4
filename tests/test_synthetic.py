"""What would spoil drawn cells: runs that differ, masks that lie, half-drawn folders."""

import hashlib
import json
import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pytest

from malaria_nb import synthetic
from malaria_nb.audit import audit_cells
from malaria_nb.dataset import index_cells
from malaria_nb.synthetic import draw_cell, plan_cells, synthetic_cells

N = 120


def digest(root):
    return hashlib.sha256(
        b"".join(p.name.encode() + p.read_bytes() for p in sorted(root.rglob("*.png")))
    ).hexdigest()


def drawing(root):
    "A command that draws the cells in a process of its own."
    code = "import sys; from malaria_nb.synthetic import synthetic_cells; "
    code += f"synthetic_cells(sys.argv[1], {N}, masks=True)"
    return [sys.executable, "-c", code, root]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return synthetic_cells(tmp_path_factory.mktemp("drawn") / "cells", N, masks=True)


@pytest.fixture(scope="module")
def drawn():
    return [
        (infected, *draw_cell([k, infected], bool(infected)))
        for k in range(150)
        for infected in (0, 1)
    ]


# -- the same seed gives the same bytes -----------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_same_seed_same_bytes(root, tmp_path, workers):
    assert digest(synthetic_cells(tmp_path / "again", N, masks=True, workers=workers)) == digest(
        root
    )


def test_same_bytes_in_another_process(root, tmp_path):
    subprocess.run(drawing(tmp_path / "again"), check=True)
    assert digest(tmp_path / "again") == digest(root)


def test_masks_do_not_change_the_cells(root, tmp_path):
    again = synthetic_cells(tmp_path / "again", N)
    assert not (again / "masks").exists()
    assert all((again / c.file).read_bytes() == (root / c.file).read_bytes() for c in plan_cells(N))


def test_another_seed_gives_other_cells(root, tmp_path):
    other = synthetic_cells(tmp_path / "other", N, seed=7)
    hashes = [
        {hashlib.sha256(p.read_bytes()).digest() for p in r.glob("[PU]*/*.png")}
        for r in (root, other)
    ]
    assert len(hashes[0]) == len(hashes[1]) == N and not hashes[0] & hashes[1]


def test_the_drawing_is_the_one_that_its_number_stands_for():
    "If this fails, the same seed gives other pictures: raise DRAWING, and renew the values."
    rgb, mask = draw_cell(7, True)
    assert (synthetic.DRAWING, rgb.shape, int(mask.sum())) == DRAWING_7[:3]
    np.testing.assert_allclose(rgb.reshape(-1, 3).mean(0), DRAWING_7[3], atol=0.05)


DRAWING_7 = (3, (123, 135, 3), 1303, (130.22, 95.61, 103.25))


# -- like the official archive --------------------------------------------------------------------


def test_archive_is_indexed_and_clean(root):
    cells = index_cells(root)
    assert Counter(cells.label) == {0: N // 2, 1: N // 2}
    assert audit_cells(cells, root).empty
    assert cells.file.str.split("/").str[-1].is_unique, "a mask must not stand for two cells"


@pytest.mark.parametrize("n, patients", [(2, 60), (121, 60), (1600, 80), (27_558, 200)])
def test_plan_scales(n, patients):
    plan = plan_cells(n)
    sick = {c.seed[2] for c in plan if c.infected}
    everyone = {c.seed[2] for c in plan}
    assert (
        len(plan) == n == len({c.file.split("/")[1] for c in plan}) == len({c.seed for c in plan})
    )
    assert sum(c.infected for c in plan) == n // 2 and all(
        c.file.startswith(("Uninfected/", "Parasitized/")[c.infected]) for c in plan
    )
    if n > 1000:
        assert len(everyone) == patients and abs(len(sick) / patients - 0.75) < 0.03


def test_one_patient_has_two_smears():
    smears = {c.file.split("/")[1].split("_IMG_")[0] for c in plan_cells(1600) if c.seed[2] == 46}
    assert len(smears) == 2 and {s.split("P")[0] for s in smears} == {"C47"}


def test_cells_of_a_photograph_share_their_look():
    looks = {}
    for c in plan_cells(1600):
        looks.setdefault(c.file.split("/")[1].split("_cell_")[0], set()).add(c.look)
    assert {len(x) for x in looks.values()} == {1}


# -- one cell -------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_archive(drawn):
    sides = np.array([rgb.shape[:2] for _, rgb, _ in drawn])
    assert sides.min() >= 40 and sides.max() <= 394 and 115 < np.median(sides) < 145


def test_black_is_outside_and_only_there(drawn):
    for _, rgb, _ in drawn:
        inside = (rgb > 0).any(-1)
        assert (rgb[inside] > 0).all() and cv2.connectedComponents(inside.astype(np.uint8))[0] == 2
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_masks_mark_parasites_inside_the_cell(drawn):
    for infected, rgb, mask in drawn:
        assert mask.shape == rgb.shape[:2] and mask.any() == infected
        assert (rgb[mask] > 0).all() and mask.mean() < 0.3


def test_masks_tell_where_the_picture_differs():
    "The mask is all that a parasite's strength changes, but for the blur around it."
    for seed in range(20):
        (strong, mask), (none, same) = (draw_cell(seed, True, strength=k) for k in (1.0, 0.0))
        changed = np.abs(strong.astype(int) - none).max(-1) > 2
        near = cv2.dilate(mask.astype(np.uint8), np.ones((13, 13))) > 0
        assert (mask == same).all() and changed[mask].mean() > 0.5 and not changed[~near].any()


def test_parasites_are_dark_in_green(drawn):
    darker = [
        np.median(rgb[..., 1][(rgb > 0).all(-1) & ~mask]) - rgb[..., 1][mask].min()
        for infected, rgb, mask in drawn
        if infected
    ]
    assert np.median(darker) > 40, "usually plain to see"
    assert np.percentile(darker, 5) < 0.6 * np.median(darker), "some are faint"


def test_written_masks_are_those_of_the_cells(root):
    for c in plan_cells(N):
        mask = cv2.imread(str(root / "masks" / c.file.split("/")[1]), cv2.IMREAD_UNCHANGED)
        assert (
            mask.shape == cv2.imread(str(root / c.file)).shape[:2]
            and set(np.unique(mask)) <= {0, 255}
            and mask.any() == c.infected
        )


# -- written whole or not at all ------------------------------------------------------------------


def test_a_second_call_draws_nothing(root, monkeypatch):
    monkeypatch.setattr(synthetic, "draw_cell", None)
    assert synthetic_cells(root, N, masks=True) == root


def test_an_interrupted_draw_leaves_no_folder_and_is_made_again(root, tmp_path, monkeypatch):
    def dies(folder, cell, masks, whole=synthetic._write, left=iter(range(30))):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        whole(folder, cell, masks)

    with monkeypatch.context() as m:
        m.setattr(synthetic, "_write", dies)
        with pytest.raises(OSError, match="No space"):
            synthetic_cells(tmp_path / "cells", N, masks=True)
    assert not (tmp_path / "cells").exists()
    assert digest(synthetic_cells(tmp_path / "cells", N, masks=True)) == digest(root)
    assert not (tmp_path / "cells.part").exists()


def test_a_planted_link_is_not_drawn_through(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "cells.part").symlink_to(victim)
    synthetic_cells(tmp_path / "cells", 60)
    assert not list(victim.iterdir()) and (tmp_path / "cells" / "Parasitized").is_dir()
    assert not (tmp_path / "cells").is_symlink()


@pytest.mark.parametrize(
    "what", ["another number", "somebody's file", "a cell is missing", "a damaged note"]
)
def test_a_folder_with_something_else_is_left_alone(tmp_path, what):
    root = tmp_path / "cells"
    if what == "somebody's file":
        root.mkdir()
        (root / "thesis.txt").write_text("years of work")
    else:
        synthetic_cells(root, 4)
    if what == "a cell is missing":
        next(root.glob("*/*.png")).unlink()
    if what == "a damaged note":
        (root / "synthetic.json").write_text('{"n": 4')
    before = sorted(p.name for p in root.rglob("*"))
    with pytest.raises(FileExistsError, match="delete it, or give another folder"):
        synthetic_cells(root, 6 if what == "another number" else 4)
    assert sorted(p.name for p in root.rglob("*")) == before


def test_two_processes_end_with_one_good_folder(root, tmp_path):
    both = [subprocess.Popen(drawing(tmp_path / "cells")) for _ in range(2)]
    assert [p.wait(60) for p in both] == [0, 0]
    assert digest(tmp_path / "cells") == digest(root)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (dict(n=1), "n=1"),
        (dict(n=-4), "n=-4"),
        (dict(patients=1), "patients=1"),
        (dict(patients=0), "patients=0"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_written(tmp_path, arguments, says):
    with pytest.raises(ValueError, match=says):
        synthetic_cells(tmp_path / "cells", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_note_is_the_recipe(root):
    assert json.loads((root / "synthetic.json").read_text()) == dict(
        drawing=synthetic.DRAWING, n=N, seed=42, masks=True, patients=None
    )
