"""Score the cells of two other laboratories, once, and keep scores and colours among the records.

    python tools/elsewhere.py score --iml FOLDER --cache CACHE --every 4 --models NAME … --ways …
    python tools/elsewhere.py score --chula FOLDER --cache CACHE --every 2 --models NAME …
    python tools/elsewhere.py shifts --iml FOLDER --cache CACHE
    python tools/elsewhere.py write --iml FOLDER --chula FOLDER --cache CACHE
    python tools/elsewhere.py add --iml FOLDER --chula FOLDER --cache CACHE --models NAME …
    python tools/elsewhere.py trainings --iml FOLDER --chula FOLDER --models NAME …
    python tools/elsewhere.py shipped --iml FOLDER --chula FOLDER

FOLDER is what `malaria_nb.laboratories` reads. Models are `compact`, the first small
network in int8, or recipes: at the quick scale (4,000 real cells, 64 pixels, seed 42, by patient),
those of `FULLY` at the full one. They must have been trained: nothing is trained here. A way is how
a cell is prepared. `--every 4` takes every fourth uninfected cell, and all parasitized ones: a
VGG-19 takes seconds a field. CACHE keeps scores, a file a model and way. No picture leaves
FOLDER. `write` makes the tables that chapter 15 reads; `add` puts another model's scores beside
what they hold. `trainings` asks how much one training says: it scores the networks of a recipe's
split and five folds, or those of `--trained`, and keeps the rows of other networks. `shipped` asks
the same of the file that comes with the package.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from fields import NETWORKS
from scipy.special import expit
from sklearn.metrics import roc_curve

from malaria_nb.cells import course_cells
from malaria_nb.dataset import sample_cells, split_cells
from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.images import load_images, purple_excess
from malaria_nb.laboratories import read_chula, read_iml
from malaria_nb.pictures import read_picture
from malaria_nb.pixels import densities, inside, paint_densities
from malaria_nb.plan import plan_run
from malaria_nb.predict import CompactModel, black_outside
from malaria_nb.records import read_table, write_table
from malaria_nb.run import run
from malaria_nb.settings import read_settings
from malaria_nb.shifts import shift
from malaria_nb.stains import colour_statistics, find_stains, normalise_macenko, normalise_reinhard

QUICK = read_settings(cells="nih", scale="quick", precision="float32")
FULL = read_settings(cells="nih", scale="full", precision="float32")
FIRST = NETWORKS["compact"]["file"]
COLOURS = ["red", "green", "blue", "sharp", "filled"]
SMALL = ["compact", "basic_cnn", "purple_threshold"]
FULLY = [
    "compact_strengths",
    "compact_student",
    "compact_wide",
    "lite0_short",
    "lite0_short_scratch",
    "lite0_finetuned",
    "lite0_scratch",
    "lite0_probe",
    "lite0_strengths",
]
LARGE = ["vgg19_frozen", "vgg19_finetuned", *FULLY[5:]]
WAYS = ["cut", "box", "trim", "balance", "reinhard-field", "reinhard-run", "macenko-run"]


def load(name: str):
    "Return a model as a function of images, and the side it reads; it must have been trained."
    if name == "compact":
        return CompactModel(FIRST, sha256=None), 48
    settings = FULL if name in FULLY else QUICK
    if not (plan_run(name, settings).folder / "run.json").exists():
        how = f"malaria-nb experiment run {name}"
        if settings is QUICK:
            how = f"call malaria_nb.run.run({name!r}, QUICK) with QUICK as in this file"
        sys.exit(f"{name} hasn't been trained: {how}")
    found = run(name, settings)
    size = found.settings.scale.size
    if name == "purple_threshold":
        unit = found.fitted()

        def by_purple(images):
            excess = np.array([[purple_excess(x)] for x in images], "float32")
            return unit.predict(excess, batch_size=4096, verbose=0)[:, 0]

        return by_purple, size
    model = found.model()
    return lambda images: model.predict(images, batch_size=64, verbose=0)[:, 0], size


def cells_of(options) -> tuple[pd.DataFrame, Path, str]:
    "Return the cells to score, their folder and the set's name."
    if options.iml:
        table, folder, name = read_iml(options.iml), options.iml, "iml"
        table = table[table["whole"] & (table["kind"] != "difficult")]
        red = table["kind"] == "red blood cell"
    else:
        table, folder, name = read_chula(options.chula), options.chula, "chula"
        table = table[table["whole"]]
        red = pd.Series(True, table.index)
    taken = np.r_[table.index[red][:: options.every], table.index[~red]]
    return table.loc[np.sort(taken)].reset_index(drop=True), folder, name


def trim(cell):
    "Take off the rows and columns that are black."
    own = cell.max(-1) > 0
    ys, xs = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    return cell[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] if len(ys) else cell


def crops(cells, folder, side, way):
    "Cut cells out of their fields and bring them to a side: (n, side, side, 3)."
    prepare = {"box": lambda x: x, "trim": lambda x: trim(black_outside(x))}
    prepare = prepare.get(way, black_outside)
    found, light = [], []
    for name, boxes in cells.groupby("file", sort=False):
        field = read_picture(folder / "fields" / name)
        bright = np.percentile(field[::4, ::4].reshape(-1, 3), 95, axis=0)
        for b in boxes.itertuples():
            cell = prepare(field[b.y : b.y + b.height, b.x : b.x + b.width])
            cell = np.ascontiguousarray(cell)
            found.append(cv2.resize(cell, (side, side), interpolation=cv2.INTER_AREA))
            light.append(bright)
    return np.stack(found), np.array(light)


def training():
    "Return the quick scale's cells and their images."
    cells, root = course_cells(QUICK)
    cells = split_cells(cells, by="patient", seed=42)
    return cells, load_images(cells, root, 64, QUICK.home / "images")


def treated(way, images, light, cells):
    "Normalise cut-out cells; what has no normalisation comes back as it is."
    if way in ("cut", "box", "trim"):
        return images
    if way == "balance":  # the empty field becomes grey
        even = light.mean(1, keepdims=True) / light
        out = np.clip(np.rint(images * even[:, None, None, :]), 1, 255).astype(np.uint8)
        return np.where(inside(images)[..., None], out, 0).astype(np.uint8)
    nih, pictures = training()
    rows = np.flatnonzero(nih["split"] == "train")
    taught = np.asarray(pictures[rows])
    group = cells["file"] if way.endswith("field") else cells["run"]
    if way.startswith("macenko"):
        return normalise_macenko(images, find_stains(taught[::4]), group)
    target = colour_statistics(taught, nih["patient"].to_numpy()[rows])
    return normalise_reinhard(images, target, group)


def score(options):
    "Score a set's cells with some models in some ways, what isn't in the cache yet."
    cells, folder, name = cells_of(options)
    for model in options.models:
        function, side = load(model)
        for way in options.ways:
            file = options.cache / f"{name}-{options.every}-{model}-{way}.npy"
            if not file.exists():
                images, light = crops(cells, folder, side, way)
                np.save(file, function(treated(way, images, light, cells)))
                print(model, way, flush=True)


def features(image):
    "Return a cell's mean density in red, green and blue, its sharpness and how much it fills."
    own = image.max(-1) > 0
    if not own.any():
        return [np.nan] * 5
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    core = cv2.erode(own.astype(np.uint8), np.ones((7, 7))) > 0
    sharp = cv2.Laplacian(grey, cv2.CV_64F)[core].std() if core.any() else np.nan
    return [*densities(image[own]).mean(0), sharp, own.mean()]


def shifts(options):
    "Measure colours there and here, and put each run's colour on test cells from here."
    cells, folder, _ = cells_of(options)
    images, _ = crops(cells, folder, 64, "cut")
    there = pd.DataFrame([features(x) for x in images], columns=COLOURS)
    there = there.assign(file=cells["file"], run=cells["run"], kind=cells["kind"])
    nih, pictures = training()
    here = pd.DataFrame([features(x) for x in np.asarray(pictures)], columns=COLOURS)
    here[["patient", "label", "split"]] = nih[["patient", "label", "split"]].to_numpy()
    tested = sample_cells(nih[nih["split"] == "test"], 600)
    rows = np.flatnonzero(nih["file"].isin(tested["file"]))
    few, known = np.asarray(pictures[rows]), nih.iloc[rows]
    usual = here.loc[here["label"] == 0, COLOURS[:3]].mean().to_numpy(float)
    made = {"none": few}
    for number in (1, 2):
        red = (there["kind"] == "red blood cell") & (there["run"] == number)
        factor = there.loc[red, COLOURS[:3]].mean().to_numpy(float) / usual
        changed = (densities(few) * factor).astype(np.float32)
        made[f"colour of run {number}"] = paint_densities(changed, inside(few))
    for kind, dose in (("focus", 2), ("gain", 0.2), ("magnification", 0.25)):
        made[f"{kind} {dose}"] = shift(few, kind, dose)
    found = []
    for name in SMALL:
        function, side = load(name)
        for what, x in made.items():
            small = [cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in x]
            table = known[["file", "patient", "label"]].assign(score=function(np.stack(small)))
            found.append(table.assign(shift=what, model=name))
    there.to_pickle(options.cache / "feat_iml.pkl")
    here.to_pickle(options.cache / "feat_nih.pkl")
    pd.concat(found).to_pickle(options.cache / "matched.pkl")


def logit(score):
    "Return the log odds of a score, to 2 digits after the point."
    score = np.clip(np.asarray(score, float), 1e-6, 1 - 1e-6)
    return np.log(score / (1 - score)).round(2)


def columns(options, name, every, models, ways):
    "Return the logits in the cache, a column a model and way."
    found = {}
    for model in models:
        for way in ways:
            file = options.cache / f"{name}-{every}-{model}-{way}.npy"
            if file.exists():
                found[f"{model} {way}"] = logit(np.load(file))
    return found


def write(options):
    "Write the tables."
    said = {
        "split": "patient",
        "seed": 42,
        "models": "compact: chapter 16's first network, int8; its wider kin and "
        "all of Lite0 at the full scale; others: recipes at the quick scale",
    }
    unit = "logits of parasitized; score .5 is 0"
    folder = options.chula
    iml, _, _ = cells_of(argparse.Namespace(iml=options.iml, chula=None, every=1))
    part, _, _ = cells_of(argparse.Namespace(iml=options.iml, chula=None, every=4))
    key = ["file", "box", "kind", "run"]
    short = {"file": lambda t: t["file"].str[2:8].astype(int)}
    small = [*SMALL, *FULLY[:5]]
    whole = iml[key].assign(**columns(options, "iml", 1, small, ["cut"]), **short)
    write_table("15_external-iml", whole.set_index("file"), QUICK, note=unit, **said)
    place = iml.reset_index().merge(part[["file", "box"]], on=["file", "box"])["index"].to_numpy()
    ways = columns(options, "iml", 1, SMALL, WAYS[1:])
    ways = {name: values[place] for name, values in ways.items()}
    ways |= columns(options, "iml", 4, LARGE, ["cut"])
    some = part[key].assign(**ways, **short)
    note = f"{unit}; all parasitized cells and every fourth uninfected one"
    write_table("15_external-ways", some.set_index("file"), QUICK, note=note, **said)
    there, _, _ = cells_of(argparse.Namespace(iml=None, chula=folder, every=1))
    half = cells_of(argparse.Namespace(iml=None, chula=folder, every=2))[0]
    chula = there[["file", "box", "kind"]].assign(
        **columns(options, "chula", 1, small, ["cut", "box", "trim"])
    )
    more = half[["file", "box"]].assign(**columns(options, "chula", 2, LARGE, ["cut"]))
    chula = chula.merge(more, how="left", on=["file", "box"])
    write_table("15_external-chula", chula.set_index("file"), QUICK, note=unit, **said)
    here = pd.read_pickle(options.cache / "feat_nih.pkl")
    here[COLOURS] = here[COLOURS].astype(float)
    here = here[here["label"] == 0].groupby("patient")[COLOURS].mean().assign(where="here")
    far = pd.read_pickle(options.cache / "feat_iml.pkl")
    far[COLOURS] = far[COLOURS].astype(float)
    far["where"] = "run " + far["run"].astype(int).astype(str)
    far = far[far["kind"] == "red blood cell"].groupby(["file", "where"])[COLOURS].mean()
    far = far.reset_index("where").rename_axis("group")
    colours = pd.concat([here.rename_axis("group"), far])
    note = (
        "uninfected cells: mean density (ln, of 255), sharpness (standard deviation of the "
        "Laplacian of grey, 64 px), proportion of the frame filled; a row a patient or a field"
    )
    write_table("15_external-colours", colours, QUICK, note=note)
    matched, rows = pd.read_pickle(options.cache / "matched.pkl"), []
    for (model, what), t in matched.groupby(["model", "shift"], sort=False):
        judged = evaluate(t["label"].astype(int), t["score"].astype(float), t["patient"], 0.5)
        rows.append(judged.assign(model=model, shift=what).rename_axis("metric").reset_index())
    note = "600 NIH test cells of 60 patients, threshold .5; each run's mean densities put on them"
    write_table("15_external-matched", pd.concat(rows, ignore_index=True), QUICK, note=note, **said)


TABLES = (
    ("iml", 1, "15_external-iml"),
    ("iml", 4, "15_external-ways"),
    ("chula", 1, "15_external-chula"),
    ("chula", 2, "15_external-chula"),
)


def add(options):
    "Put the scores that the cache has into the tables, and leave what else they hold."
    for lab, every, name in TABLES:
        new = columns(options, lab, every, options.models, options.ways)
        folder = getattr(options, lab)
        if not new or not folder:
            continue
        only = {"iml": None, "chula": None} | {lab: folder}
        cells = cells_of(argparse.Namespace(every=every, **only))[0]
        found = cells[["file", "box"]].assign(**new)
        if lab == "iml":
            found["file"] = found["file"].str[2:8].astype(int)
        table = read_table(name)
        about = {k: v for k, v in table.attrs["about"].items() if k not in ("cells", "device")}
        kept = table.reset_index().drop(columns=list(new), errors="ignore")
        merged = kept.merge(found, how="left", on=["file", "box"]).set_index("file")
        write_table(name, merged, QUICK, **about)


TRAININGS = ["patient", *(f"patient-fold{k}" for k in range(1, 6))]


def away_from_middle(logits: np.ndarray, fields: pd.Series) -> np.ndarray:
    "Subtract each field's median from its cells' logits."
    logits = pd.Series(logits)
    return (logits - logits.groupby(fields.to_numpy()).transform("median")).to_numpy()


def both_sets(options) -> dict:  # iml and chula: cells, their folder, their name
    "Return all whole cells of both laboratories."
    if not (options.iml and options.chula):
        sys.exit(f"{options.what} needs --iml FOLDER and --chula FOLDER")
    sets = {"iml": dict(iml=options.iml, chula=None), "chula": dict(iml=None, chula=options.chula)}
    return {k: cells_of(argparse.Namespace(every=1, **where)) for k, where in sets.items()}


def by_run(score: dict[str, np.ndarray], cells: pd.DataFrame) -> list[dict]:
    "Judge scores of `iml` on each run at .5 and at run 1's threshold, and of `chula`: alarms."
    sick = (cells["kind"] != "red blood cell").to_numpy().astype(int)
    first = (cells["run"] == 1).to_numpy()
    # to the digits of the other tables
    score = {lab: expit(logit(predicted)) for lab, predicted in score.items()}
    centred = away_from_middle(logit(score["iml"]), cells["file"])
    false, true, thresholds = roc_curve(sick[first], centred[first])
    called = (centred >= thresholds[(true - false).argmax()]).astype(float)
    rows = []
    for number, here in ((1, first), (2, ~first)):
        m = metrics(sick[here], score["iml"][here])
        row = {"run": number}
        row |= {k: round(m[k], 5) for k in ("sensitivity", "specificity", "auc")}
        judged = evaluate(sick[here], called[here], cells["file"][here], 0.5).round(5)
        for metric in ("sensitivity", "specificity"):
            for column, end in (("value", ""), ("low", ", low"), ("high", ", high")):
                row[f"{metric}, centred{end}"] = judged.loc[metric, column]
        row["thai alarms"] = round(float((score["chula"] >= 0.5).mean()), 4)
        rows.append(row)
    return rows


CENTRED = (
    "all cells, threshold .5; centred: less the field's median logit, at the threshold of run 1's "
    "largest J; thai alarms: of Chula-RBC-12's cells"
)


def trainings(options):
    "Judge a recipe's networks, trained on other patients each."
    sets, rows, images = both_sets(options), [], {}
    for name in options.models:
        for split in options.trained:
            if not (plan_run(name, FULL, split).folder / "run.json").exists():
                how = f"malaria-nb experiment run {name} --split {split}"
                sys.exit(f"{name} hasn't been trained: {how}")
            found = run(name, FULL, split)
            size, model = found.settings.scale.size, found.model()
            score = {}
            for lab, (there, folder, _) in sets.items():
                if (lab, size) not in images:
                    images[lab, size] = crops(there, folder, size, "cut")[0]
                score[lab] = model.predict(images[lab, size], batch_size=256, verbose=0)[:, 0]
            known = {"recipe": name, "trained": split}
            rows += [known | row for row in by_run(score, sets["iml"][0])]
            print(rows[-1], flush=True)
    note = f"each network of a recipe, trained on other patients; {CENTRED}"
    # the last of a network's rows counts
    table = pd.concat([read_table("15_external-trainings").reset_index(), pd.DataFrame(rows)])
    table = table.drop_duplicates(["recipe", "trained", "run"], keep="last")
    table = table.sort_values(["recipe", "trained", "run"]).set_index("recipe")
    write_table("15_external-trainings", table, FULL, note=note, seed=42)


def shipped(options):
    "Judge the file that comes with the package, in its eight bits."
    sets, network = both_sets(options), CompactModel()
    score = {
        lab: network(crops(there, folder, network.size, "cut")[0])
        for lab, (there, folder, _) in sets.items()
    }
    table = pd.DataFrame(by_run(score, sets["iml"][0])).set_index("run")
    print(table.T.to_string())
    about = {"note": CENTRED, "model": NETWORKS["shipped"]["model"], "seed": 42}
    write_table("15_external-shipped", table, FULL, **about)


def main():
    steps = {f.__name__: f for f in (score, shifts, write, add, trainings, shipped)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*steps])
    parser.add_argument("--iml", type=Path)
    parser.add_argument("--chula", type=Path)
    parser.add_argument("--cache", type=Path, default=FULL.home / "elsewhere")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--models", nargs="+", default=SMALL)
    parser.add_argument("--trained", nargs="+", default=TRAININGS, choices=TRAININGS)
    parser.add_argument("--ways", nargs="+", default=["cut"], choices=WAYS)
    options = parser.parse_args()
    if options.what in ("score", "shifts"):
        options.cache.mkdir(parents=True, exist_ok=True)
    steps[options.what](options)


if __name__ == "__main__":
    main()
