"""Choose the sample of real cells that travels with the course, and pack it into nbs/sample.

python tools/sample.py FOLDER     # the whole set, laid out like the official archive

Which cells are chosen depends on the set's file names and on SEED alone, never on a score or on
what a cell looks like. Afterwards put the two hashes it prints into nbs/74_sample.ipynb.
"""

import hashlib
import io
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from malaria_nb.archive import class_root
from malaria_nb.dataset import index_cells
from malaria_nb.sample import LISTING, ZIP, pixel_hash

TO = Path(__file__).resolve().parents[1] / "nbs" / "sample"
# the first from 42 on that takes 1,100 to 1,200 cells, and with which every part of the course's
# split, 7 validation patients too, has patients with and without parasitized cells
SEED = 45
PATIENTS = 100  # of 200
SHARE = 0.08  # of a chosen patient's cells of each class
# a date for every file in the zip, so that the same cells make the same bytes
DATE = (2026, 1, 1, 0, 0, 0)
LOSSLESS = (cv2.IMWRITE_WEBP_QUALITY, 101)  # above 100, OpenCV's WebP keeps every pixel
NOTICE = """\
# A sample of the NIH/NLM malaria cells

Courtesy of the U.S. National Library of Medicine.

`{zip}` holds {cells:,} of the 27,558 cell images that the Lister Hill National Center for \
Biomedical Communications, part of the U.S. National Library of Medicine (NLM), has published for \
public use. Neither the NLM nor the National Institutes of Health has reviewed or endorses this \
course.

**The whole set:** <https://data.lhncbc.nlm.nih.gov/public/Malaria/cell_images.zip> (353 MB); \
`malaria-nb data --cells nih` fetches and checks it.

**Cite** the set, and so this sample, as

> Rajaraman S, Antani SK, Poostchi M, Silamut K, Hossain MA, Maude RJ, Jaeger S, Thoma GR (2018). \
Pre-trained convolutional neural networks as feature extractors toward improved malaria parasite \
detection in thin blood smear images. *PeerJ* 6:e4568. <https://doi.org/10.7717/peerj.4568>

## What is in it

| | in the sample | in the whole set |
|---|---|---|
{counts}

## How it was chosen

By `tools/sample.py`, with random seed {seed}: {patients} of the 200 patients, in each of the two \
kinds (with and without a parasitized cell) the same proportion of patients; then of every chosen \
patient 8 % of the uninfected and 8 % of the parasitized cells, and at least one. A patient with \
many cells in the set has many in the sample. The seed is the first from 42 on that takes 1,100 to \
1,200 cells and gives every part of the course's split (`split_cells(cells, by="patient", \
seed=42)`) patients of both kinds. The choice depends on file names and seed alone: no score, no \
label correction and no look of a cell entered it.

## What was left out, and what was changed

The other {out_cells:,} cells, all cells of {out_patients} patients, and the set's patient lists. \
Nothing was removed for its quality, and no label was changed.

Every pixel is the published one, at the published size. Names and folders are those of the \
official archive. The files are packed as lossless WebP, which takes 40 % less room than PNG; \
unpacking makes PNG files again, equal pixel by pixel though not byte by byte.

SHA-256 of `{zip}`:

    {sha256}

`{listing}`, in it, has for each cell the height, the width and the SHA-256 of its pixels (RGB, \
row by row).
"""


def choose(
    cells: pd.DataFrame,  # table of the whole set; only file, patient and label are read
    patients: int = PATIENTS,
    share: float = SHARE,  # of a patient's cells of each class; at least one is taken
    seed: int = SEED,
) -> pd.DataFrame:  # the chosen rows, sorted by file
    "Choose patients of both kinds in proportion, then the same share of each one's cells."
    rng = np.random.default_rng(seed)
    cells = cells.sort_values("file")
    infected = cells.groupby("patient").label.max()
    chosen = []
    for kind in (0, 1):
        names = infected.index[infected == kind].to_numpy()
        chosen += [*rng.choice(names, round(patients * len(names) / len(infected)), replace=False)]
    kept = []
    for _, part in cells[cells.patient.isin(chosen)].groupby(["patient", "label"]):
        n = max(1, round(share * len(part)))
        kept.append(part.iloc[rng.choice(len(part), n, replace=False)])
    return pd.concat(kept).sort_values("file", ignore_index=True)


def pack(cells: pd.DataFrame, root: Path) -> bytes:
    "Pack cells into one zip: a lossless WebP each, and a listing with a hash of each one's pixels."
    packed, lines = io.BytesIO(), ["file,height,width,sha256"]
    with zipfile.ZipFile(packed, "w") as archive:
        for file in cells.file:
            image = cv2.imread(str(root / file))
            code = cv2.imencode(".webp", image, LOSSLESS)[1]
            if not (cv2.imdecode(code, cv2.IMREAD_COLOR) == image).all():
                raise RuntimeError(f"{file}: this OpenCV's WebP changes pixels")
            name = Path("cell_images", file).with_suffix(".webp").as_posix()
            archive.writestr(zipfile.ZipInfo(name, DATE), code.tobytes())
            lines.append(f"{file},{image.shape[0]},{image.shape[1]},{pixel_hash(image)}")
        listing = zipfile.ZipInfo(LISTING, DATE)
        listing.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(listing, "\n".join(lines) + "\n")
    return packed.getvalue()


def counts(cells: pd.DataFrame) -> dict[str, int | str]:
    each = cells.groupby("patient")
    return {
        "cells": f"{len(cells):,}",
        "parasitized": f"{cells.label.sum():,}",
        "patients": cells.patient.nunique(),
        "patients without a parasitized cell": int((each.label.max() == 0).sum()),
        "cells of a patient": f"{each.size().min()} to {each.size().max()}",
        "photographs": f"{cells.photo.nunique():,}",
        "side of a cell, pixels": "{} to {}".format(
            cells[["height", "width"]].min().min(), cells[["height", "width"]].max().max()
        ),
    }


def notice(sample: pd.DataFrame, every: pd.DataFrame, sha256: str) -> str:
    "Say whose the cells are, how they were chosen and what was left out."
    ours, whole = counts(sample), counts(every)
    return NOTICE.format(
        zip=ZIP,
        listing=LISTING,
        sha256=sha256,
        cells=len(sample),
        patients=sample.patient.nunique(),
        out_cells=len(every) - len(sample),
        out_patients=every.patient.nunique() - sample.patient.nunique(),
        seed=SEED,
        counts="\n".join(f"| {name} | {ours[name]} | {whole[name]} |" for name in ours),
    )


def main(folder: str):
    root = class_root(folder)
    every = index_cells(root)
    sample = choose(every)
    data = pack(sample, root)
    sha256 = hashlib.sha256(data).hexdigest()
    TO.mkdir(exist_ok=True)
    (TO / ZIP).write_bytes(data)
    (TO / "NOTICE.md").write_text(notice(sample, every, sha256), encoding="utf-8")
    print(f"{len(sample):,} cells, {len(data):,} bytes; in nbs/74_sample.ipynb:")
    print(f'SAMPLE_SHA256 = "{sha256}"')


if __name__ == "__main__":
    main(*sys.argv[1:])
