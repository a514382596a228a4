"""Peers on the same folds: five features and a forest, a colour threshold, and the networks.

    python benchmarks/peers.py --cells FOLDER
    python benchmarks/peers.py --cells FOLDER --search yes --table 17_lite0-peers
    python benchmarks/peers.py --cells sample --quick

emfet (https://pypi.org/project/emfet/) is trained and measured now, in an environment of its own
that `peers.txt` pins; networks and threshold are read from the course's records, those that there
are. A network without records is named, with the command that makes them. Every model is compared
with `compact` on the same cells; intervals are by patient. Cells a second are measured now, for
all ways in turn, from decoded pictures of any size to scores, on one thread and in CPU time, so
that other work on the machine matters little.

Features, forests and turns that are finished are kept: a second start goes on from there. The
tables go to peers.md and peers.csv beside this file, or to --out.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import cv2
import numpy as np
import pandas as pd

from malaria_nb.archive import class_root
from malaria_nb.cells import course_cells, fingerprint
from malaria_nb.device import device_text
from malaria_nb.evaluation import evaluate
from malaria_nb.files import whole_file
from malaria_nb.images import purple_excess
from malaria_nb.kinds import Setup, kind_named
from malaria_nb.predict import MODEL, CompactModel
from malaria_nb.recipes import RECIPES, split_as
from malaria_nb.records import read_record, record_name, records_folder, write_table
from malaria_nb.settings import SCALES, Settings, read_settings
from malaria_nb.stats import difference

HERE = Path(__file__).parent
SEED = 42
FIVE, PATIENT, CELL = (
    "five folds by patient",
    "one split by patient",
    "the article's split, by cell",
)
GROUNDS = {
    FIVE: [f"patient-fold{k}" for k in range(1, 6)],
    PATIENT: ["patient"],
    CELL: ["cell"],
}
FOREST, SEARCH = "emfet 2.0, published settings", "emfet 2.0, settings searched in each fold"
MEASURED = {FOREST: "forest", SEARCH: "search"}
COMPACT = "compact"
RECORDED = {
    "purple threshold": "purple_threshold",
    COMPACT: "compact",
    "the article's basic CNN": "article_basic_cnn",
    "the article's frozen VGG-19": "article_vgg19_frozen",
    "the article's fine-tuned VGG-19": "article_vgg19_finetuned",
    "VGG-19 frozen, our recipe": "vgg19_frozen",
    "VGG-19 fine-tuned, our recipe": "vgg19_finetuned",
    "VGG-19 fine-tuned, one cycle": "vgg19_finetuned_one_cycle",
    "Lite0's five blocks": "lite0_short",
    "Lite0 fine-tuned": "lite0_finetuned",
}
MODELS = ["purple threshold", *MEASURED, *list(RECORDED)[1:]]
SHIPPED = "Lite0's five blocks, int8 as shipped"
# pictures that a way is timed on, 1,024 of the others
SLOW = {
    "the article's basic CNN": 256,
    "the article's frozen VGG-19": 32,
    "the article's fine-tuned VGG-19": 32,
    "VGG-19 frozen, our recipe": 32,
    "VGG-19 fine-tuned, our recipe": 32,
    "VGG-19 fine-tuned, one cycle": 32,
    "Lite0 fine-tuned": 64,
}
# the same network at prediction, so timed once
SAME_SPEED = {
    "the article's frozen VGG-19": "VGG-19 fine-tuned, our recipe",
    "the article's fine-tuned VGG-19": "VGG-19 fine-tuned, our recipe",
    "VGG-19 frozen, our recipe": "VGG-19 fine-tuned, our recipe",
}


def emfet_python(home, asked):
    "Return the interpreter of emfet's environment; make the environment where there is none."
    if asked:
        return asked
    pins = HERE / "peers.txt"
    folder = home / f"env-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not (folder / "whole").exists():
        venv.create(folder, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(pins)]
        subprocess.run([python, *install], check=True)
        (folder / "whole").touch()
    return python


def emfet_command(python, what, job, quick):
    small = ["--quick"] if quick else []
    return [str(python), str(HERE / "peers_emfet.py"), what, str(job), *small]


ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def write_job(cells, root, job, splits):
    "Write what emfet's process reads: a row a cell, and what each split does with it."
    root = class_root(root)
    table = pd.DataFrame(
        {"path": [str(root / f) for f in cells["file"]], "label": cells["label"]},
    ).assign(whose=cells["patient"].to_numpy())
    for split in splits:
        table[split] = split_as(cells, split, SEED)["split"].to_numpy()
    job.mkdir(parents=True, exist_ok=True)
    with whole_file(job / "cells.csv") as file:
        table.to_csv(file, index=False, lineterminator="\n")
    return table


def read_notes(job, how, splits):
    "Read what training in emfet's process has left; None unless every split is there."
    files = [job / f"{how}-{split}.json" for split in splits]
    if not all(file.exists() for file in files):
        return None
    return [json.loads(file.read_text("utf-8")) for file in files]


def as_predictions(cells, table, splits, scores):
    "Put scores of the test cells of some splits into a predictions table."
    parts = []
    for split, score in zip(splits, scores):
        here = (table[split] == "test").to_numpy()
        part = cells.loc[here, ["file", "patient", "label"]]
        parts.append(part.assign(score=np.round(score, 6), split="test"))
    return pd.concat(parts, ignore_index=True)


def measured(cells, table, job, model, splits):
    "Return predictions, and how they came about, of emfet's forest."
    how = MEASURED[model]
    notes = read_notes(job, how, splits)
    if notes is None:
        return None, {"from": "not measured; ask with --search yes"}
    seconds = feature_seconds(job)["whole"] * (table[splits[0]] != "test").mean()
    about = {
        "from": "measured now",
        "CPU seconds": seconds + np.mean([note["seconds"] for note in notes]),
        "bytes": int(np.median([note["bytes"] for note in notes])),
        "settings": [note["settings"] for note in notes],
    }
    return as_predictions(cells, table, splits, [note["score"] for note in notes]), about


def feature_seconds(job):
    notes = [json.loads(f.read_text("utf-8")) for f in (job / "features").glob("*.json")]
    return pd.DataFrame(notes).sum().to_dict()


def recorded(cells, records, model, splits):
    "Return predictions, and how they came about, of a recipe; None without all of its records."
    name = RECORDED[model]
    folders = [records / record_name(name, split, SEED) for split in splits]
    there = [folder for folder in folders if (folder / "record.json").exists()]
    if len(there) < len(folders):
        some = f" ({len(there)} of {len(folders)} folds)" if there else ""
        return None, {"from": f"no record yet{some}"}
    found = [read_record(folder) for folder in there]
    tables = [r.predictions[r.predictions["split"] == "test"] for r in found]
    predictions = pd.concat(tables, ignore_index=True)
    first = found[0].about
    done = dict.fromkeys(str(f(len(r.history) for r in found)) for f in (min, max))
    about = {
        "from": f"records, {'–'.join(done)} of {first['epochs']['planned']} epochs",
        "minutes": np.mean([r.about["seconds"] for r in found]) / 60,
        "device": device_text(first["environment"]),
    }
    return predictions[predictions["file"].isin(cells["file"])], about


def accuracy_rows(ground, found):
    "Return a row a model: accuracy, AUC, and both less compact's, with intervals by patient."
    rows = []
    compact = found.get(COMPACT, (None, {}))[0]
    for model in MODELS:
        predictions, about = found[model]
        row = {"ground": ground, "model": model, "from": about["from"]}
        if predictions is not None:
            columns = (predictions[c] for c in ("label", "score", "patient"))
            table = evaluate(*columns)
            row |= {"cells": len(predictions), "patients": predictions["patient"].nunique()}
            for metric in ("accuracy", "auc"):
                row |= named(metric, table.loc[metric])
        if predictions is not None and compact is not None and model != COMPACT:
            apart = difference(predictions, compact)
            for metric in ("accuracy", "auc"):
                row |= named(f"{metric} less compact's", apart.loc[metric])
        row |= {
            "training, CPU seconds": about.get("CPU seconds"),
            "training, minutes in the records": about.get("minutes"),
            "device of the records": about.get("device"),
            "model's bytes": about.get("bytes"),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def named(what, row):
    return {what: row["value"], f"{what}, low": row["low"], f"{what}, high": row["high"]}


def keras_network(name):
    "Build a recipe's network with random weights, as it reads images at prediction."
    recipe = RECIPES[name]
    kind, size = kind_named(recipe.model), recipe.size or SCALES["full"].size
    options = {"start": "random", **recipe.options}
    setup = Setup(size, Path(), recipe.preprocessing, None, options=options)
    model = kind.build(setup, None, None)
    finish = getattr(kind, "finish", None)
    return size, finish(model, setup) if finish else model


def resized(pictures, size):
    shape = (size, size)
    return [cv2.resize(p, shape, interpolation=cv2.INTER_AREA) for p in pictures]


def batches(pictures):
    return (pictures[i : i + 64] for i in range(0, len(pictures), 64))


def purple(pictures):
    for some in resized(pictures, SCALES["full"].size):
        1 / (1 + np.exp(-purple_excess(some) / 64))


def network_way(size, model):
    "Return a function that resizes pictures and scores them with a Keras model."
    import tensorflow as tf

    step = tf.function(lambda x: model(x, training=False), reduce_retracing=True)

    def score(pictures):
        for some in batches(pictures):
            step(tf.constant(np.stack(resized(some, size)).astype(np.float32)))

    return score


def speed_ways(quick):
    "Return the ways to predict that are timed in this process, and bytes of their models."
    ways, sizes = {"purple threshold": purple}, {"purple threshold": 8}
    shipped = CompactModel()
    ways[SHIPPED], sizes[SHIPPED] = shipped, MODEL.stat().st_size
    if quick:
        return ways, sizes
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for model, name in RECORDED.items():
        if model in ways or model in SAME_SPEED or name not in RECIPES:
            continue
        size, network = keras_network(name)
        ways[model], sizes[model] = network_way(size, network), 4 * network.count_params()
    return ways, sizes


def cpu_seconds(f, pictures):
    began = time.process_time()
    f(pictures)
    return time.process_time() - began


def timed_turns(job, python, pictures, turns, quick):
    "Time all ways in turn; return cells a CPU second, a row a turn, and bytes of the models."
    ways, sizes = speed_ways(quick)
    key = f"{sorted(ways)} {len(pictures)}"
    kept = job / "speed.json"
    said = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    rows = said["turns"] if said.get("key") == key else []
    if len(rows) < turns:
        command = emfet_command(python, "speed", job, quick)
        pipe = subprocess.PIPE
        env = os.environ | ONE_THREAD
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env) as emfet:
            emfet.stdout.readline()
            for name, f in ways.items():
                f(pictures[: SLOW.get(name, 64)])
            while len(rows) < turns:
                row = {}
                for name, f in ways.items():
                    some = pictures[: SLOW.get(name, len(pictures))]
                    row[name] = len(some) / cpu_seconds(f, some)
                print("again", file=emfet.stdin, flush=True)
                row[FOREST] = len(pictures) / float(emfet.stdout.readline())
                rows.append(row)
                text = json.dumps({"key": key, "turns": rows})
                with whole_file(kept) as file:
                    file.write_text(text, encoding="utf-8")
                print(f"turn {len(rows)} of {turns}", flush=True)
            emfet.stdin.close()
    return pd.DataFrame(rows[:turns]), sizes


def speed_table(rates, sizes):
    "Return cells a CPU second and their ratio to compact's, turn by turn."
    to = COMPACT if COMPACT in rates else SHIPPED
    ratio = rates.div(rates[to], axis=0)
    return pd.DataFrame(
        {
            "cells a CPU second": rates.median(),
            "ratio": ratio.median(),
            "lowest": ratio.min(),
            "highest": ratio.max(),
            "bytes": pd.Series(sizes),
        }
    )


def signed(value, low, high):
    if pd.isna(value):
        return "–"
    if pd.isna(low):
        return f"{value:+.4f} (no interval)".replace("-", "−")
    star = "*" if low > 0 or high < 0 else ""
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}){star}".replace("-", "−")


def plain(value, low, high):
    if pd.isna(value):
        return "–"
    return f"{value:.4f} " + ("(no interval)" if pd.isna(low) else f"({low:.4f}–{high:.4f})")


def cost(row):
    if pd.notna(row["training, CPU seconds"]):
        return f"{row['training, CPU seconds']:.0f} CPU s"
    if pd.notna(row["training, minutes in the records"]):
        minutes = f"{row['training, minutes in the records']:,.1f} min"
        return f"{minutes}, {row['device of the records']}"
    return "–"


def whole(value):
    return "–" if pd.isna(value) else f"{value:,.0f}"


def markdown(rows):
    "Write some rows of equal keys as a Markdown table, line by line."
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def three(row, what):
    return row[what], row[f"{what}, low"], row[f"{what}, high"]


def text_rows(table):
    "Write the numbers of a ground as text."
    columns = [f"{m}{end}" for m in ("accuracy", "auc") for end in ("", " less compact's")]
    columns = [f"{c}{end}" for c in columns for end in ("", ", low", ", high")]
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *columns])))
    return [
        {
            "": row["model"],
            "accuracy": plain(*three(row, "accuracy")),
            "AUC": plain(*three(row, "auc")),
            "accuracy − compact's": signed(*three(row, "accuracy less compact's")),
            "AUC − compact's": signed(*three(row, "auc less compact's")),
            "one training": cost(row),
            "cells a CPU second": whole(row["cells a CPU second"]),
            "bytes": whole(row["bytes"]),
            "from": row["from"],
        }
        for _, row in table.iterrows()
    ]


def speed_rows(speed):
    order = [m for m in (*MODELS, SHIPPED) if m in speed.index]
    return [
        {
            "": name,
            "cells a CPU second": whole(row["cells a CPU second"]),
            "ratio to compact's, median": f"{row['ratio']:.3g}",
            "lowest–highest": f"{row['lowest']:.3g}–{row['highest']:.3g}",
            "bytes": whole(row["bytes"]),
        }
        for name, row in speed.loc[order].iterrows()
    ]


def forest_notes(cells, table, job, splits):
    "Say how much emfet's result depends on the forest's random state and on its training cells."
    notes = read_notes(job, "forest", splits)
    ways = {
        "random states 43 and 44": list(zip(*(note["other seeds"] for note in notes))),
        "trained on the networks' training cells only": [
            [note["training cells only"] for note in notes]
        ],
    }
    found = {}
    for name, several in ways.items():
        values = []
        for scores in several:
            t = as_predictions(cells, table, splits, scores)
            row = evaluate(t["label"], t["score"], t["patient"])["value"]
            values.append([round(float(row[m]), 4) for m in ("accuracy", "auc")])
        if values:
            found[name] = values
    return found


def report(tables, speed, about):
    "Write the whole result as Markdown."
    text = ["# Peers on the same folds", "", about["cells"], ""]
    for ground, table in tables.items():
        first = table.dropna(subset=["cells"]).iloc[0]
        text += [f"## {ground[0].upper()}{ground[1:]}", ""]
        n, patients = int(first["cells"]), int(first["patients"])
        text += [f"{n:,} cells of {patients} patients are tested, seed {SEED}.", ""]
        text += [*markdown(text_rows(table)), ""]
    if len(speed):
        text += ["## Prediction", "", *markdown(speed_rows(speed)), ""]
    text += ["## How to read this", ""]
    text += [f"- {line}" for line in about["notes"]]
    for how, values in about["forest"].items():
        said = "; ".join(f"{accuracy:.4f} and {auc:.4f}" for accuracy, auc in values)
        text += [f"- emfet on the five folds, {how}: accuracy and AUC {said}."]
    features = about["features, CPU seconds"]
    text += [
        f"- emfet's features of all cells: {features['features']:.0f} CPU seconds, "
        f"{features['whole']:.0f} with reading and decoding."
    ]
    return "\n".join(text) + "\n"


NOTES = (
    "95 % intervals by patient (chapter 18). A difference is paired: both models lose the same "
    "patient. * marks an interval that excludes zero.",
    "emfet is measured now: its five features (the numbers that `emfet.features` computes), "
    "standardised, and its random forest with the settings of its model card, trained on all cells "
    "outside the test. The model in its package is not opened: it was trained on all cells. Its "
    "settings were chosen on all patients, those tested here included; the row with searched "
    "settings repeats its authors' search inside each training part. The package leaves its "
    "forest's random state open; here it is 42.",
    "All other rows are read from the records. Networks keep a tenth of the cells outside the test "
    "for validation.",
    "One training: for emfet CPU seconds on one core, reading, decoding and features of its "
    "training cells included; for recorded models the mean minutes of the records, on the device "
    "named, decoding left out, and for VGG-19 also the features of the frozen base and the head "
    "that fine-tuning starts from. The two can't be compared to the second.",
    "Cells a CPU second: from decoded pictures as they are to scores, resizing included, one "
    "thread, in batches of 64, Keras on TensorFlow with random weights (what is shipped: LiteRT); "
    "medians, and ratios turn by turn. A VGG-19 is timed once for its four rows. Beside other work "
    "a CPU second does less: compare ratios, not the numbers of two runs.",
    "Bytes: emfet's forest as its authors store it (joblib, compression 3), the median of the "
    "folds; a network's parameters at four bytes each; the shipped model's file.",
    "The article's recipes have no records on the five folds where a row says so: "
    "`malaria-nb experiment run article_basic_cnn --split patient-fold1`, and so on, makes them.",
)


def command_line():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--cells", default="nih", help="nih, sample or a folder (default: nih)")
    p.add_argument(
        "--quick", action="store_true", help="one ground, one turn, small forests: for tests"
    )
    p.add_argument("--search", choices=("no", "yes"), default="no", help="search settings, too")
    p.add_argument("--speed", choices=("no", "yes"), default="yes", help="time predictions")
    p.add_argument("--turns", type=int, default=5, help="times each way is timed (default: 5)")
    p.add_argument("--records", help="folder of records (default: the course's)")
    p.add_argument("--python", help="interpreter that has emfet (default: makes an environment)")
    p.add_argument("--out", type=Path, help="folder of peers.md and peers.csv (default: this one)")
    p.add_argument("--table", help="keep it among the records, under this name")
    return p.parse_args()


def main():
    a = command_line()
    if a.out:
        a.out.mkdir(parents=True, exist_ok=True)  # before half an hour of work, not after it
    cv2.setNumThreads(1)
    home = read_settings().home
    settings = Settings(a.cells, SCALES["full"], "random", home)
    cells, root = course_cells(settings)
    records = records_folder(a.records)
    grounds = {FIVE: GROUNDS[FIVE]} if a.quick else GROUNDS
    splits = [split for some in grounds.values() for split in some]
    job = home / "peers" / (fingerprint(cells) + ("-quick" if a.quick else ""))
    table = write_job(cells, root, job, splits)
    python = emfet_python(home / "peers", a.python)
    for what in ("features", "forest", *(["search"] if a.search == "yes" else [])):
        command = emfet_command(python, what, job, a.quick)
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD)
    found, tables = {}, {}
    for ground, some in grounds.items():
        found[ground] = {m: measured(cells, table, job, m, some) for m in MEASURED}
        found[ground] |= {m: recorded(cells, records, m, some) for m in RECORDED}
        tables[ground] = accuracy_rows(ground, found[ground])
    speed = pd.DataFrame(columns=["cells a CPU second", "ratio", "lowest", "highest", "bytes"])
    if a.speed == "yes":
        n, turns = (64, 1) if a.quick else (1_024, a.turns)
        shown = table["path"].sample(min(n, len(table)), random_state=SEED)
        shown.to_csv(job / "speed.csv", index=False)
        pictures = [cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB) for path in shown]
        speed = speed_table(*timed_turns(job, python, pictures, turns, a.quick))
        speed.loc[FOREST, "bytes"] = found[FIVE][FOREST][1]["bytes"]
    for name, t in tables.items():
        same = t["model"].replace(SAME_SPEED)
        t = t.join(speed.reindex(same).reset_index(drop=True))
        # a forest's own size, where it was trained here
        own = t.pop("model's bytes").astype(float)
        tables[name] = t.assign(bytes=own.fillna(t["bytes"].astype(float)))
    about = {
        "cells": f"{len(cells):,} cells of {cells['patient'].nunique()} patients.",
        "seed": SEED,
        "forest": forest_notes(cells, table, job, GROUNDS[FIVE]),
        "features, CPU seconds": {k: round(v, 1) for k, v in feature_seconds(job).items()},
        "notes": NOTES,
    }
    if found[FIVE][SEARCH][0] is not None:
        about["searched settings"] = found[FIVE][SEARCH][1]["settings"]
    text = report(tables, speed, about)
    print(text)
    rows = pd.concat(tables.values(), ignore_index=True)
    left = speed.loc[[n for n in speed.index if n == SHIPPED]].rename_axis("model").reset_index()
    rows = pd.concat([rows, left.assign(ground="prediction only")], ignore_index=True)
    out = a.out or (None if a.quick else HERE)
    if out:
        (out / "peers.md").write_text(text, encoding="utf-8")
        head = {k: v for k, v in about.items() if k != "notes"}
        body = rows.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        (out / "peers.csv").write_text(f"# {json.dumps(head)}\n{body}", encoding="utf-8")
    if a.table:
        # write_table refuses other cells than all real ones
        real = len(cells) == len(found[FIVE][COMPACT][0]) and not a.quick
        settings = Settings("nih", SCALES["full"], "random") if real else settings
        print(write_table(a.table, rows.set_index("model"), settings, records, **about))


if __name__ == "__main__":
    sys.exit(main())
