"""Find, cut out, classify and count on real fields; writes a table, a row a field.

python tools/fields.py --iml FOLDER --chula FOLDER [--network shipped] [--out FOLDER]

The network is `compact`, chapter 16's first, for chapter 14's tables, or `shipped`, which comes
with the package, for chapter 15's. FOLDER is what `malaria_nb.laboratories` reads. No picture is
kept, only numbers. The first run of IML's camera is what finder and limits were chosen on; the
second, and Chula, are for reporting. Every field is counted, refused or not: what would have been
counted is what the refusal is worth.

A whole cell is one whose box keeps 3 pixels from the border, or whose point keeps half a cell's
width; boxes named `difficult` are no cells to find, and what is found there is no error. A red
region is paired with at most one box that holds the middle of its own box (`found`), and counted
again at an IoU of at least .5 (`found_iou`); with points it is paired as `match_cells` does.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from malaria_nb.counting import LEFT_OUT, check_count, score_cells
from malaria_nb.finder import find_cells, match_cells
from malaria_nb.laboratories import read_chula, read_iml
from malaria_nb.pictures import read_picture
from malaria_nb.predict import MODEL, CompactModel
from malaria_nb.quality import check_field, measure_field
from malaria_nb.records import records_folder, write_table
from malaria_nb.settings import SCALES, Settings

NETWORKS = {
    "compact": {
        "file": records_folder() / "models" / "compact.tflite",
        "table": "14_smear-{}",
        "model": "compact, chapter 16's first network, int8",
    },
    "shipped": {
        "file": MODEL,
        "table": "15_external-{}-counts",
        "model": "lite0_short, which comes with the package, int8",
    },
}
BORDER = 3  # pixels that a whole cell's box keeps from the border
OVERLAP = 0.15  # of its own box in another's: a cell that lies on another


def truth_of(boxes: pd.DataFrame, shape: tuple[int, ...]) -> pd.DataFrame:
    "Give a field's boxes, `read_iml`'s, the columns w, h, whole, overlaps and sick; pixels."
    table = boxes.rename(columns={"width": "w", "height": "h"}).reset_index(drop=True)
    height, width = shape[:2]
    right, low = table["x"] + table["w"], table["y"] + table["h"]
    inside = (table["x"] >= BORDER) & (table["y"] >= BORDER)
    inside &= (right <= width - BORDER) & (low <= height - BORDER)
    shared = intersection(table, table)
    np.fill_diagonal(shared, 0)
    most = shared.max(1, initial=0) / (table["w"] * table["h"])
    return table.assign(
        whole=inside & (table["kind"] != "difficult"),
        overlaps=most >= OVERLAP,
        sick=~table["kind"].isin(["red blood cell", "difficult"]),
    )


def intersection(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:  # (len(a), len(b)), pixels
    "Measure the area that each box of one table shares with each of another."
    ax, ay, aw, ah = (a[k].to_numpy(float)[:, None] for k in "xywh")
    bx, by, bw, bh = (b[k].to_numpy(float) for k in "xywh")
    wide = np.minimum(ax + aw, bx + bw) - np.maximum(ax, bx)
    high = np.minimum(ay + ah, by + bh) - np.maximum(ay, by)
    return wide.clip(0) * high.clip(0)


def paired(good: np.ndarray, cost: np.ndarray) -> np.ndarray:  # for each row its column, or -1
    "Pair rows with columns one to one at the least total cost, only where it is good."
    match = np.full(len(good), -1)
    if good.size:
        rows, columns = linear_sum_assignment(np.where(good, cost, 1e6))
        match[rows] = np.where(good[rows, columns], columns, -1)
    return match


def by_middle(truth: pd.DataFrame, found: pd.DataFrame) -> np.ndarray:
    "Pair boxes with what has its middle in them."
    x, y, w, h = (truth[k].to_numpy(float)[:, None] for k in "xywh")
    cx = (found["x"] + found["w"] / 2).to_numpy(float)
    cy = (found["y"] + found["h"] / 2).to_numpy(float)
    good = (cx >= x) & (cx <= x + w) & (cy >= y) & (cy <= y + h)
    return paired(good, np.hypot(cx - x - w / 2, cy - y - h / 2))


def by_iou(truth: pd.DataFrame, found: pd.DataFrame) -> np.ndarray:
    "Pair boxes with what covers them at an IoU of at least .5."
    shared = intersection(truth, found)
    area = (truth["w"] * truth["h"]).to_numpy(float)[:, None]
    iou = shared / (area + (found["w"] * found["h"]).to_numpy(float) - shared)
    return paired(iou >= 0.5, -iou)


def counted(field: np.ndarray, model: CompactModel) -> tuple[pd.DataFrame, dict]:
    "Find and score, whether or not the field would be refused; say what the library would."
    cells = score_cells(field, model, find_cells(field))
    red = cells[cells["kind"] == "red"].reset_index(drop=True)
    called = int((red["score"] >= 0.5).sum())
    kinds = {kind: int((cells["kind"] == kind).sum()) for kind in LEFT_OUT}
    said = {"red": len(red), "called": called, **kinds}
    said |= {k: v for k, v in measure_field(field).items() if k in ("covered", "focus")}
    said["refused"] = check_field(field).partition(":")[0] or "no"
    said["warned"] = "yes" if check_count(called, len(red)) else "no"
    return red, said


def rates(row: dict) -> dict:
    "Add recall and precision, and the parasitaemia that is true and that is counted."
    return row | {
        "recall": round(row["found"] / max(row["whole"], 1), 4),
        "precision": round(row["right"] / max(row["red"], 1), 4),
        "true": round(row.get("parasitized", 0) / max(row["whole"], 1), 5),
        "counted": round(row["called"] / max(row["red"], 1), 5),
    }


def iml(folder: Path, model: CompactModel) -> Iterator[dict]:
    "Yield a row for each known field of IML_Malaria."
    for name, boxes in read_iml(folder).groupby("file"):
        field = read_picture(folder / "fields" / name)
        truth = truth_of(boxes, field.shape)
        red, said = counted(field, model)
        middle, iou = by_middle(truth, red), by_iou(truth, red)
        whole, alone = truth["whole"].to_numpy(), ~truth["overlaps"].to_numpy()
        sick = truth["sick"].to_numpy()
        # a call is right where a parasitized cell, whole or not, is paired with it
        score = np.append(red["score"].to_numpy(), np.nan)
        call = score[middle] >= 0.5
        yield rates(
            {
                "field": Path(name).stem,
                "run": int(boxes["run"].iloc[0]),
                "whole": int(whole.sum()),
                "found": int((middle[whole] >= 0).sum()),
                "found_iou": int((iou[whole] >= 0).sum()),
                "whole_alone": int((whole & alone).sum()),
                "found_alone": int((middle[whole & alone] >= 0).sum()),
                "right": int((middle >= 0).sum()),
                "right_iou": int((iou >= 0).sum()),
                "parasitized": int((whole & sick).sum()),
                "parasitized_found": int((middle[whole & sick] >= 0).sum()),
                "parasitized_called": int(call[whole & sick].sum()),
                **said,
            }
        )


def chula(folder: Path, model: CompactModel) -> Iterator[dict]:
    "Yield a row for each known field of Chula-RBC-12; nobody there has malaria."
    for name, points in read_chula(folder).groupby("file"):
        field = read_picture(folder / "fields" / name)
        red, said = counted(field, model)
        radius = float(np.sqrt(red["area"].median() / np.pi))
        x, y = points["x"] + points["width"] / 2, points["y"] + points["height"] / 2
        truth = pd.DataFrame({"x": x, "y": y, "radius": radius}).reset_index(drop=True)
        match = match_cells(truth, red)
        height, width = field.shape[:2]
        whole = truth["x"].between(radius, width - radius)
        whole &= truth["y"].between(radius, height - radius)
        yield rates(
            {
                "field": Path(name).stem,
                "whole": int(whole.sum()),
                "found": int((match[whole] >= 0).sum()),
                "right": int((match >= 0).sum()),
                **said,
            }
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iml", type=Path, help="folder with annotations.json and fields/")
    parser.add_argument("--chula", type=Path, help="folder with fields/ and points/")
    parser.add_argument("--network", choices=NETWORKS, default="compact")
    parser.add_argument("--out", type=Path, help="folder of records (default: the repository's)")
    given = parser.parse_args()
    network = NETWORKS[given.network]
    model = CompactModel(network["file"], sha256=None)
    sets = {"iml": (given.iml, iml), "chula": (given.chula, chula)}
    for name, (folder, rows) in sets.items():
        if folder is None:
            continue
        table = pd.DataFrame(rows(folder, model)).set_index("field")
        about = "finder and limits chosen on run 1" if name == "iml" else "no malaria"
        write_table(
            network["table"].format(name),
            table,
            Settings(cells="nih", scale=SCALES["full"]),
            given.out,
            cells_of=f"fields of {name}; {about}",
            model=f"{network['model']}, threshold .5",
        )
        runs = table["run"] if "run" in table else pd.Series(1, table.index)
        print(table.select_dtypes("number").groupby(runs).sum().T.round(2).to_string())


if __name__ == "__main__":
    main()
