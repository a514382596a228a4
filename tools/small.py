r"""Make the tables on the small network that chapter 16 reads, each once, and keep what they cost.

    python tools/small.py steps larger          # hours on 2 CPU cores; what is kept isn't repeated
    python tools/small.py exports               # of the recorded networks; trains what is missing
    python tools/small.py exports --recipe lite0_short --split patient-fold1 \
        --keep malaria_nb/network.tflite        # the file that comes with the package
    python tools/small.py eight_bits            # what its eight bits change, in five folds
    python tools/small.py disputed --lists FOLDER    # the lists of Fuhad et al. (2020)

All real cells are needed (MALARIA_NB_CELLS=nih). A step of the design is judged on the cells that
the split of seed 42 doesn't test, out of fold: its scores stay in `nbs/records/steps`, a file a
step, and are used again as long as its recipe is the one that they were made by.
"""

import argparse
import gzip
import json
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from malaria_nb.cells import course_cells
from malaria_nb.compact import compact_cnn
from malaria_nb.corrections import read_corrections, relabel
from malaria_nb.dataset import group_folds, split_cells
from malaria_nb.device import environment
from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.export import PRECISIONS, export_litert, export_onnx
from malaria_nb.files import whole_file
from malaria_nb.images import load_images, symmetry
from malaria_nb.intervals import patient_interval
from malaria_nb.leakage import out_of_fold
from malaria_nb.lite0 import lite0_short
from malaria_nb.predict import CompactModel
from malaria_nb.recipes import FOLDS, RECIPES, Recipe, choices, split_as, with_options
from malaria_nb.records import load, records_folder, write_table
from malaria_nb.report import five_folds
from malaria_nb.run import Run, fit_recipe, run
from malaria_nb.settings import Settings, read_settings
from malaria_nb.stats import difference, leave_out

COMPACT = RECIPES["compact"]
# how the article trains, for 8 epochs
FIRST = replace(COMPACT, augment=None, optimizer="adam", learning_rate=1e-3, options={})
FAST = replace(COMPACT, augment=None)
THREE = {"widths": [32, 64, 128], "strides": [2, 2, 2]}
TURNED = "eight symmetries"


def network(recipe: Recipe, **how) -> Recipe:
    "Let a recipe build another compact network."
    return with_options(recipe, network=how)


STEPS = {  # name: what it is compared with, and the recipe
    "article's, at 48 px": (None, replace(FIRST, model="basic_cnn")),
    "mean of evidence": ("article's, at 48 px", network(FIRST, **THREE, norm=False, pool=True)),
    "steps of 2, no pooling": ("mean of evidence", network(FIRST, **THREE, norm=False)),
    "batch normalisation": ("steps of 2, no pooling", network(FIRST, **THREE)),
    "one cycle": ("batch normalisation", network(FAST, **THREE)),
    "four narrow layers": ("one cycle", FAST),
    TURNED: ("four narrow layers", COMPACT),
    "own mean colour": (TURNED, network(COMPACT, centre=True)),
    "label smoothing": (TURNED, with_options(COMPACT, smoothing=0.1)),
    "weight averaging": (TURNED, with_options(COMPACT, averaging=0.99)),
    "32 px": (TURNED, replace(COMPACT, size=32)),
    "64 px": (TURNED, replace(COMPACT, size=64)),
    "96 px": (TURNED, replace(COMPACT, size=96)),
    "no normalisation": (TURNED, network(COMPACT, norm=False)),
    "4 epochs": (TURNED, replace(COMPACT, epochs=4)),
    "6 epochs": (TURNED, replace(COMPACT, epochs=6)),
    "16 epochs": (TURNED, replace(COMPACT, epochs=16)),
}
WIDE = network(replace(COMPACT, epochs=40), widths=[32, 64, 128, 128])
# name: recipe and seed, judged by cell on the first of three folds
LARGER = {f"by cell, seed {seed}": (COMPACT, seed) for seed in range(42, 47)}
LARGER["by cell, wide, 40 epochs"] = (WIDE, 42)
LOOKS = {1: "score", 8: "mean of eight"}
# whose scores are held against the lists: by cell, by patient, in five folds
READ = {
    "compact": ("cell", "patient", "five folds by patient"),
    "vgg19_finetuned": ("cell", "patient"),
    "basic_cnn": ("patient",),
    "purple_threshold": ("patient",),
    "lite0_finetuned": ("patient", "five folds by patient"),
    "compact_student": ("patient", "five folds by patient"),
}


def judge(recipe: Recipe, settings: Settings, seed: int, by: str, folds: list[int]):
    """Score the cells that seed 42 doesn't test, each by a network that hasn't met its group.

    Returns a table (label, patient, score, mean of eight), and the cost of one training."""
    scale = replace(settings.scale, size=recipe.size, batch=recipe.batch)
    settings = replace(settings, scale=scale)
    cells, root = course_cells(settings)
    cells = split_cells(cells, by=by, seed=42)
    rows = np.flatnonzero(cells["split"] != "test")
    fold = group_folds(cells.iloc[rows], 3, by, 42)["fold"].to_numpy()
    images = load_images(cells, root, recipe.size, cache=settings.home / "images")
    found, seconds = [], []
    for k in folds:
        began = time.process_time()
        parts = {"train": rows[fold != k], "valid": rows[fold == k]}
        model, _ = fit_recipe(recipe, images, cells["label"], parts, settings, seed, progress=False)
        seconds.append(time.process_time() - began)
        found.append(look(model, images, parts["valid"]))
    scores = pd.concat(found).sort_index()
    table = cells.iloc[scores.index][["label", "patient"]].reset_index(drop=True)
    cost = {"parameters": model.count_params(), "CPU seconds": float(np.mean(seconds))}
    return table.join(scores.reset_index(drop=True)), cost


def look(model, images, rows) -> pd.DataFrame:
    "Score cells as they are, and as the mean of their eight symmetries."
    x, scores = np.asarray(images[rows]), []
    for k in range(8):
        turned = np.ascontiguousarray(symmetry(x, k))
        scores.append(model.predict(turned, batch_size=256, verbose=0)[:, 0])
    return pd.DataFrame({"score": scores[0], "mean of eight": np.mean(scores, axis=0)}, rows)


def step_file(name: str) -> Path:
    "Return where the scores of a step are kept."
    return records_folder() / "steps" / (re.sub(r"\W+", "-", name) + ".csv.gz")


def read_step(name: str) -> tuple[dict, pd.DataFrame]:
    "Read what is kept of a step: about it, and its scores."
    with gzip.open(step_file(name), "rt", encoding="utf-8") as file:
        about = json.loads(file.readline()[2:])
        return about, pd.read_csv(file)[["label", "patient", *LOOKS.values()]]


def judged(name: str, settings: Settings) -> tuple[dict, pd.DataFrame]:
    "Judge a step, or read what was kept of it as long as its recipe is the same."
    if name in STEPS:
        recipe, how = STEPS[name][1], {"seed": 42, "by": "patient", "folds": [0, 1, 2]}
    else:
        recipe, seed = LARGER[name]
        how = {"seed": seed, "by": "cell", "folds": [0]}
    file = step_file(name)
    if not file.exists() or read_step(name)[0]["recipe"] != json.loads(json.dumps(choices(recipe))):
        table, cost = judge(recipe, settings, **how)
        about = {"cells": str(settings), "recipe": choices(recipe), "size": recipe.size}
        about |= {"epochs": recipe.epochs, "device": environment()["device"], **how, **cost}
        text = f"# {json.dumps(about)}\n{table.to_csv(index=False, float_format='%.4f')}"
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as part:
            part.write_bytes(gzip.compress(text.encode(), mtime=0))
    return read_step(name)


def accuracies(table: pd.DataFrame, score) -> tuple[dict, pd.Series]:
    "Return accuracy and AUC, and the accuracy without each patient in turn."
    m = metrics(table["label"], score)
    without = leave_out(table["label"], score, table["patient"])["accuracy"]
    return {"accuracy": m["accuracy"], "auc": m["auc"]}, without


def with_ends(names: list[str], value: float, without: pd.Series, bounds=(0, 1)) -> dict:
    "Name a value and the ends of its interval by patient."
    ends = patient_interval(pd.Series({"": value}), without.to_frame(""), bounds=bounds)
    return dict(zip(names, (value, *ends.iloc[0])))


def row_of(now, then) -> dict:
    "Return accuracy with its interval and AUC, and the gain on another, if there is one."
    (found, without), row = now, {}
    row |= with_ends(["accuracy", "low", "high"], found["accuracy"], without)
    row["auc"] = found["auc"]
    if then is None:
        return row
    gain, apart = found["accuracy"] - then[0]["accuracy"], without - then[1]
    return row | with_ends(["gain", "gain_low", "gain_high"], gain, apart, (-np.inf, np.inf))


def write_steps(settings: Settings) -> None:
    "Judge every step of the design, and compare it with the one before."
    found, rows = {}, {}
    for name, (before, _) in STEPS.items():
        about, table = judged(name, settings)
        for kind in LOOKS.values():
            found[name, kind] = accuracies(table, table[kind])
            # eight looks are compared with one look of the same network
            then = before if kind == "score" else name
            row = {"before": before, "parameters": about["parameters"]}
            row["seconds"] = about["CPU seconds"]
            rows[name, kind] = row | row_of(found[name, kind], found.get((then, "score")))
    write_table(
        "16_compact-steps",
        pd.DataFrame(rows).T.rename_axis(["step", "scored"]),
        settings,
        validation_cells=len(table),
        patients=int(table["patient"].nunique()),
        folds=3,
        split="patient",
        seed=42,
        epochs=8,
        note="out of fold among the patients that the split of seed 42 does not test; "
        "before: what a step is compared with; gain: paired difference of accuracy at threshold "
        "0.5; intervals by patient; mean of eight: score averaged over the eight symmetries of "
        "a cell",
    )


def write_larger(settings: Settings) -> None:
    "Spend up to sixteen times the work: five seeds, a wider network, eight looks."
    five, wide = [judged(name, settings) for name in LARGER][:-1], judged([*LARGER][-1], settings)
    ways = {
        "the recipe": five[:1],
        "five seeds of it, averaged": five,
        "twice as wide, 40 epochs": [wide],
        "all six, averaged": [*five, wide],
    }
    table, rows = five[0][1], {}
    first = accuracies(table, table["score"])
    for name, some in ways.items():
        for looks, kind in LOOKS.items():
            score = np.mean([scores[kind] for _, scores in some], axis=0)
            then = None if (name, looks) == ("the recipe", 1) else first
            row = {"seconds": sum(about["CPU seconds"] for about, _ in some)}
            rows[name, looks] = row | row_of(accuracies(table, score), then)
    written = pd.DataFrame(rows).T.rename_axis(["trained", "looks"])
    write_table(
        "16_compact-larger",
        written.fillna({"gain": 0}),
        settings,
        validation_cells=len(table),
        patients=int(table["patient"].nunique()),
        split="cell",
        seed=42,
        note="the first of three folds, by cell, of the cells that the split of seed 42 does not "
        "test; seconds: of CPU, in training; gain: paired difference of accuracy at threshold 0.5 "
        "from the recipe with one look; intervals by patient",
    )


def by_dispute(predictions: pd.DataFrame, corrections: pd.DataFrame) -> dict:
    "Score test cells whose labels nobody disputes, and say how often disputed ones are followed."
    agreed = relabel(predictions, corrections, "dropped")
    disputed = predictions.drop(agreed.index)
    m = evaluate(agreed["label"], agreed["score"], agreed["patient"])
    found = {"cells": len(predictions), "disputed": len(disputed)}
    found["accuracy"] = metrics(predictions["label"], predictions["score"])["accuracy"]
    found |= dict(zip(("undisputed", "low", "high"), m.loc["accuracy"]))
    found["undisputed_auc"] = m.loc["auc", "value"]
    found["followed"] = ((disputed["score"] >= 0.5) == disputed["label"]).mean()
    return found


def write_disputed(settings: Settings, lists: Path) -> None:
    "Hold recorded scores against the lists of labels that are held to be wrong."
    corrections, rows = read_corrections(lists), {}
    for name, splits in READ.items():
        for split in splits:
            if split.startswith("five"):
                table = five_folds(name)
                if table is None:  # a fold isn't recorded yet
                    continue
            else:
                table = load(name, split).predictions.query("split == 'test'")
            rows[name, split] = by_dispute(table.reset_index(drop=True), corrections)
    write_table(
        "16_compact-disputed",
        pd.DataFrame(rows).T.rename_axis(["recipe", "split by"]),
        settings,
        seed=42,
        cells="all real (NIH/NLM) cells, at each recipe's own size",
        note="recorded predictions of test cells, threshold 0.5; disputed: on the lists of Fuhad "
        "et al. (2020); followed: proportion of the disputed cells classified as their published "
        "label says; intervals by patient",
    )


def export_all(trained: Run, to: Path):
    "Export a run's network in every format; int8 is calibrated on training cells."
    cells, root = course_cells(trained.settings)
    cells = split_as(cells, trained.split, trained.seed)
    images = load_images(cells, root, trained.recipe.size, trained.settings.home / "images")
    train = np.flatnonzero(cells["split"] == "train")
    shown = np.asarray(images[train[:: max(1, len(train) // 300)]])
    # built anew, since the saved one holds the steps of the day on which it was trained
    recipe = trained.recipe
    if recipe.model == "lite0_short":
        model = lite0_short(recipe.size)
    else:
        model = compact_cnn(recipe.size, **recipe.options.get("network", {}))
    model.set_weights(trained.model().get_weights())
    files = {}
    for precision in PRECISIONS:
        files[precision] = export_litert(model, to / f"{precision}.tflite", precision, shown)
    files["ONNX"] = export_onnx(model, to / "compact.onnx")
    test = np.flatnonzero(cells["split"] == "test")
    return model, files, cells.iloc[test], np.asarray(images[test])


def scores_of(file: Path, images: np.ndarray) -> np.ndarray:
    "Score cells with an exported file."
    if file.suffix == ".tflite":
        return CompactModel(file, sha256=None)(images)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file))
    return session.run(["score"], {"cells": images.astype(np.float32)})[0][:, 0]


def parity(trained: Run, to: Path) -> tuple[pd.DataFrame, int]:
    "Compare every exported file with Keras; return the table and the number of test cells."
    model, files, tested, images = export_all(trained, to)
    scores = {"Keras": model.predict(images, batch_size=256, verbose=0)[:, 0]}
    scores |= {name: scores_of(file, images) for name, file in files.items()}
    rows = {}
    for name, score in scores.items():
        m = evaluate(tested["label"], score, tested["patient"])
        row = {"bytes": files[name].stat().st_size if name in files else np.nan}
        row["largest"] = np.abs(score - scores["Keras"]).max()
        row["moved"] = ((score >= 0.5) != (scores["Keras"] >= 0.5)).sum()
        rows[name] = row | m.loc["accuracy"].to_dict() | {"auc": m.loc["auc", "value"]}
    return pd.DataFrame(rows).T.astype({"moved": int}).rename_axis("format"), len(tested)


def write_exports(
    settings: Settings, name: str, split: str, keep: Path | None, precision: str
) -> None:
    "Export a recipe's network, compare, and keep one of the files where it is asked for."
    trained = run(name, settings, split=split, seed=42)
    with tempfile.TemporaryDirectory() as folder:
        table, cells = parity(trained, Path(folder))
        if keep:
            with whole_file(keep) as part:
                part.write_bytes((Path(folder) / f"{precision}.tflite").read_bytes())
    write_table(
        "17_lite0-exports" if trained.recipe.model == "lite0_short" else "16_compact-exports",
        table,
        trained.settings,
        test_cells=cells,
        patients=trained.predictions.query("split == 'test'")["patient"].nunique(),
        split=split,
        seed=42,
        model=str(trained),
        note="largest: difference of a score from Keras's; moved: predictions at threshold 0.5 "
        "that differ; intervals by patient",
    )


def write_eight_bits(settings: Settings) -> None:
    "Score every cell out of fold by `lite0_short` in int8, and compare with the same in float32."
    whole = five_folds("lite0_short")
    tables = []
    for split in FOLDS[:5]:
        trained = run("lite0_short", settings, split=split, seed=42)
        with tempfile.TemporaryDirectory() as folder:
            _, files, tested, images = export_all(trained, Path(folder))
            score = scores_of(files["int8"], images)
            again = scores_of(files["float32"], images)
        known = tested[["file", "patient", "label"]]
        recorded = known.merge(whole[["file", "score"]], on="file")["score"]
        if (far := np.abs(again - recorded).max()) > 1e-3:
            raise SystemExit(f"{trained}: not the network that is recorded, {far:.3f} away")
        tables.append(known.assign(split="test", score=score))
    eight = out_of_fold(tables)
    apart = difference(eight, whole, split=None).loc[:, ["value", "low", "high"]]
    table = evaluate(eight["label"], eight["score"], eight["patient"])
    table = table.join(apart.add_prefix("less float32: "), how="inner").rename_axis("metric")
    pair = eight[["file", "score"]].merge(whole[["file", "score"]], on="file")
    write_table(
        "17_lite0-eight_bits",
        table,
        trained.settings,
        test_cells=len(eight),
        patients=int(eight["patient"].nunique()),
        split="patient, five folds",
        seed=42,
        moved=int(((pair["score_x"] >= 0.5) != (pair["score_y"] >= 0.5)).sum()),
        largest=round(float((pair["score_x"] - pair["score_y"]).abs().max()), 3),
        note="lite0_short in int8, each fold calibrated on its training cells, less the recorded "
        "scores; threshold 0.5; moved: predictions that differ; largest: difference of a score; "
        "intervals by patient",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = ["steps", "larger", "disputed", "exports", "eight_bits"]
    parser.add_argument("tables", nargs="+", choices=tables)
    parser.add_argument("--lists", type=Path, help="folder of the lists of Fuhad et al. (2020)")
    parser.add_argument("--recipe", default="compact_student", help="whose network is exported")
    parser.add_argument("--split", default="patient", help="of that network: patient-fold1, say")
    parser.add_argument("--keep", type=Path, help="where an exported file goes")
    parser.add_argument("--precision", default="int8", choices=PRECISIONS, help="of that file")
    options = parser.parse_args()
    settings = read_settings(cells="nih", scale="full", precision="float32")
    if "disputed" in options.tables and options.lists is None:
        parser.error("disputed needs --lists FOLDER")
    small = replace(settings, scale=replace(settings.scale, size=COMPACT.size))
    for table in options.tables:
        if table == "steps":
            write_steps(small)
        if table == "larger":
            write_larger(small)
        if table == "disputed":
            write_disputed(settings, options.lists)
        if table == "exports":
            write_exports(settings, options.recipe, options.split, options.keep, options.precision)
        if table == "eight_bits":
            write_eight_bits(settings)


if __name__ == "__main__":
    main()
