"Boxes against known crops, and what other laboratories send by mistake."

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from malaria_nb.annotations import read_coco
from malaria_nb.evaluation import evaluate, metrics
from malaria_nb.external import evaluate_external, score_external
from malaria_nb.laboratories import crops_of
from malaria_nb.predict import black_outside
from malaria_nb.recalibration import fewest_errors, recalibrate

# ---- boxes and folders


def coco(tmp_path, annotations, fields=2, extra=()):
    "Write fields whose box k has the level 60 + k, and a COCO file."
    rng = np.random.default_rng(3)
    for i in range(fields):
        field = rng.integers(200, 220, (90, 120, 3)).astype(np.uint8)
        for a in annotations:
            if (
                a["image_id"] == i
                and len(a.get("bbox", [])) == 4
                and all(isinstance(v, int) and v >= 0 for v in a["bbox"])
            ):
                x, y, w, h = a["bbox"]
                field[y : y + h, x : x + w] = 60 + a["id"]
        cv2.imwrite(str(tmp_path / f"f{i}.png"), field[..., ::-1])
    images = [dict(id=i, file_name=f"f{i}.png") for i in range(fields)] + list(extra)
    file = tmp_path / "boxes.json"
    file.write_text(
        json.dumps(
            dict(
                images=images,
                annotations=annotations,
                categories=[
                    dict(id=1, name="rbc"),
                    dict(id=2, name="ring"),
                    dict(id=3, name="wbc"),
                ],
            )
        )
    )
    return file


def box(id, image_id, bbox, category_id=1, **more):
    return dict(id=id, image_id=image_id, bbox=bbox, category_id=category_id, **more)


def level(images):
    return images.mean((1, 2, 3)) / 255


MAPPING = {"rbc": 0, "ring": 1, "wbc": None}


def test_boxes_are_cropped_where_they_are(tmp_path):
    file = coco(
        tmp_path,
        [
            box(1, 0, [0, 0, 20, 30]),
            box(2, 0, [100, 60, 20, 30], 2),
            box(3, 1, [40, 10, 33, 17], 2),
            box(4, 1, [5, 50, 8, 9]),
            box(5, 1, [60, 60, 9, 9], 3),
        ],
    )
    found = score_external(level, file, MAPPING, 0.25, size=16)
    t = found.predictions.set_index("file")
    assert t.index.to_list() == ["f0.png#1", "f0.png#2", "f1.png#3", "f1.png#4"] and t[
        "label"
    ].to_list() == [0, 1, 1, 0]
    assert (t["score"] * 255).to_numpy() == pytest.approx(
        [61, 62, 63, 64]
    )  # not one pixel of the ground
    assert (t["split"] == "external").all() and found.problems.empty and found.unit == "fields"
    assert found.scores["value"].to_dict() == pytest.approx(
        metrics(t["label"], t["score"], 0.25).to_dict(), nan_ok=True
    )


def test_what_goes_wrong_is_reported_and_skipped(tmp_path):
    bad = [
        box(11, 0, [110, 10, 30, 10]),
        box(12, 0, [-5, 0, 10, 10]),
        box(13, 0, [5, 5, 0, 9]),
        box(14, 0, [1, 2, 3]),
        box(15, 7, [1, 1, 9, 9]),
        box(16, 0, [1, 1, 9, 9], 9),
        box(17, 5, [1, 1, 9, 9]),
        box(18, 6, [1, 1, 9, 9]),
        box(19, 8, [1, 1, 9, 9]),
        box(20, 0, [1, 1, 9, 9], iscrowd=1),
        box(21, 0, [float("nan"), 1, 9, 9]),
    ]
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    extra = [
        dict(id=5, file_name="gone.png"),
        dict(id=6, file_name="torn.png"),
        dict(id=8, file_name="../outside.png"),
    ]
    cv2.imwrite(str(tmp_path.parent / "outside.png"), np.full((90, 120, 3), 99, np.uint8))
    found = score_external(
        level,
        coco(
            tmp_path, [box(1, 0, [0, 0, 20, 30]), box(2, 1, [30, 30, 9, 9], 2), *bad], extra=extra
        ),
        MAPPING,
        0.25,
        size=16,
    )
    assert found.predictions["file"].to_list() == ["f0.png#1", "f1.png#2"]
    why = {f.split("#")[1]: w for f, w in found.problems.to_numpy()}
    words = {
        "11": "leaves its field of 120 × 90",
        "12": "leaves its field",
        "13": "0 × 9",
        "14": "four numbers",
        "15": "image 7 is not in the list",
        "16": "category 9 is not",
        "17": "no such file",
        "18": "no picture",
        "19": "leads out of",
        "20": "crowd",
        "21": "NaN",
    }
    assert why.keys() == words.keys()
    for k, w in words.items():
        assert w in why[k], (k, why[k])
    assert "11 not scored" in str(found)


@pytest.mark.parametrize(
    "mapping, words",
    [
        ({"rbc": 0, "wbc": None}, "'ring'"),
        ({"rbc": 0, "ring": "yes", "wbc": None}, "use 0"),
        ({"rbc": 0, "ring": True, "wbc": None}, "use 0"),
    ],
)
def test_every_category_needs_a_label(tmp_path, mapping, words):
    with pytest.raises(ValueError, match=words):
        read_coco(coco(tmp_path, [box(1, 0, [0, 0, 9, 9]), box(2, 0, [20, 20, 9, 9], 2)]), mapping)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "no JSON"),
        ("[]", "no list of images, annotations, categories"),
        ("[" * 50_000, "no JSON"),
        ("[" + "9" * 5000 + "]", "no JSON"),
        ("\xff", "no JSON"),
        ('{"images": [], "annotations": []}', "no list of categories"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "file_name"),
        (
            '{"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}], '
            '"annotations": [], "categories": []}',
            "same id",
        ),
    ],
)
def test_what_is_no_coco_file(tmp_path, text, words):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"a.json.*{words}"):
        read_coco(tmp_path / "a.json", {})


def test_a_file_of_boxes_from_windows(tmp_path):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    file.write_text(file.read_text(), "utf-8-sig")  # a byte order mark first
    assert len(read_coco(file, MAPPING)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
def test_what_is_neither_file_nor_folder_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        crops_of(tmp_path / "nowhere", MAPPING)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="a pipe or a device"):
        crops_of(tmp_path / "pipe", MAPPING)
    with pytest.raises(OSError, match="not a file"):
        read_coco(tmp_path / "pipe", MAPPING)


@pytest.mark.parametrize(
    "size, problem",
    [((120, 90), ""), ((90, 120), "the annotation says 90 × 120"), ((120.0, 90), "")],
)
def test_boxes_of_a_field_of_another_size_are_not_cut(tmp_path, size, problem):
    "A photograph that is turned by its EXIF orientation has boxes for the turned one."
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    content = json.loads(file.read_text())
    content["images"][0] |= dict(zip(("width", "height"), size))
    file.write_text(json.dumps(content))
    (crop,) = crops_of(file, MAPPING)
    assert problem in crop.problem and (crop.picture is None) == bool(problem)


def test_a_field_that_is_black_where_a_cell_should_be(tmp_path):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    cv2.imwrite(str(tmp_path / "f0.png"), np.zeros((90, 120, 3), np.uint8))
    (crop,) = crops_of(file, MAPPING)
    assert "black all over" in crop.problem and crop.picture is None


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "x" * 5000, "loop.png", "", "/", "."])
def test_names_of_fields_that_can_be_none(tmp_path, name):
    (tmp_path / "loop.png").symlink_to("loop.png")
    extra = [dict(id=9, file_name=name)]
    (crop,) = crops_of(coco(tmp_path, [box(1, 9, [0, 0, 9, 9])], extra=extra), MAPPING)
    assert crop.picture is None and crop.problem.startswith("the field can't be read")


def test_folders_links_and_pipes_among_crops_are_told(tmp_path):
    below = folder(tmp_path) / "sick"
    (below / "more").mkdir()
    (below / "lost.png").symlink_to("nowhere")
    problems = {c.file: c.problem for c in crops_of(tmp_path, {"healthy": 0, "sick": 1})}
    assert "a folder" in problems["more"] and "no such file" in problems["lost.png"]


@pytest.mark.parametrize(
    "annotation, words",
    [
        (1, r"annotations\[1\] is 1, expected an object"),
        ([1, 2], r"annotations\[1\] is \[1, 2\]"),
        (None, r"annotations\[1\] is None"),
        (box(2, 0, [0, 0, 9, 9], [1]), r"annotations\[1\] has category_id \[1\]"),
        (box(2, [0], [0, 0, 9, 9]), r"annotations\[1\] has image_id \[0\]"),
        (box({}, 0, [0, 0, 9, 9]), r"annotations\[1\] has id {}"),
        (box(1, 0, [0, 0, 9, 9]), r"annotations\[1\] has the same id as another, 1"),
        (box("1", 0, [0, 0, 9, 9]), r"annotations\[1\] has the same id as another, '1'"),
        (box(float("nan"), 0, [0, 0, 9, 9]), r"annotations\[1\] has id nan"),
        (box(True, 0, [0, 0, 9, 9]), r"annotations\[1\] has id True"),
        (box(2, float("inf"), [0, 0, 9, 9]), r"annotations\[1\] has image_id inf"),
        (box(2, 0, [0, 0, 9, 9], False), r"annotations\[1\] has category_id False"),
        (box(10**400, 0, [0, 0, 9, 9]), r"annotations\[1\] has id 1000"),
    ],
)
def test_a_malformed_annotation_is_named(tmp_path, annotation, words):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    content = json.loads(file.read_text())
    content["annotations"].append(annotation)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        read_coco(file, MAPPING)


@pytest.mark.parametrize(
    "part, entry, words",
    [
        ("categories", {"id": 4, "name": ["ring"]}, r"categories\[3\] is .*a name"),
        ("categories", {"id": [4], "name": "ring"}, r"categories\[3\]"),
        ("categories", ["ring"], r"categories\[3\] is \['ring'\]"),
        ("categories", {"id": 1, "name": "ring"}, r"categories\[3\] has the same id"),
        ("images", {"id": 9, "file_name": "a", "width": "9"}, r"images\[2\] has width '9'"),
        ("images", {"id": 9, "file_name": "a", "height": -1}, r"images\[2\] has height -1"),
        ("images", {"id": float("nan"), "file_name": "a"}, r"images\[2\] is .*an id"),
        ("images", 5, r"images\[2\] is 5"),
        ("images", {"id": 9, "file_name": 7}, r"images\[2\] is .*a file_name"),
    ],
)
def test_a_malformed_image_or_category_is_named(tmp_path, part, entry, words):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    content = json.loads(file.read_text())
    content[part].append(entry)
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        read_coco(file, MAPPING)


@pytest.mark.parametrize(
    "bbox",
    [
        *("1234", {"x": 1}, None, 7, [1, 2, 3, None], [[1], 2, 3, 4], ["1", "2", "3", "4"], []),
        *([True, True, 9, 9], [0, 0, 10**400, 9], [1, 2, 3, 4, 5], [{}, 2, 3, 4]),
    ],
)
def test_what_is_no_box_is_written_beside_it(tmp_path, bbox):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9])])
    content = json.loads(file.read_text())
    content["annotations"].append(box(2, 1, bbox))
    file.write_text(json.dumps(content))
    assert list(read_coco(file, MAPPING)["problem"].str[:6]) == ["", "no box"]


@pytest.mark.parametrize("crowd", ["no", 2, [1], {"x": 1}, 0.5])
def test_what_is_no_crowd_is_written_beside_it(tmp_path, crowd):
    file = coco(tmp_path, [box(1, 0, [0, 0, 9, 9], iscrowd=crowd)])
    assert "iscrowd is" in read_coco(file, MAPPING)["problem"][0]


def folder(tmp_path):
    for name, base in (("healthy", 60), ("sick", 150)):
        (tmp_path / name).mkdir()
        for i in range(6):
            cv2.imwrite(
                str(tmp_path / name / f"P{i // 2}_{i}.png"),
                np.full((20 + i, 30, 3), base + i, np.uint8),
            )
    (tmp_path / "sick" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "sick" / "empty.png").write_bytes(b"")
    return tmp_path


def test_a_folder_of_crops(tmp_path):
    found = score_external(
        level,
        folder(tmp_path),
        {"healthy": 0, "sick": 1},
        0.4,
        size=8,
        patient=lambda file: file.split("_")[0],
    )
    assert (
        len(found.predictions) == 12
        and found.scores.loc["accuracy", "value"] == 1
        and found.scores.attrs["groups"] == 3
    )
    assert (
        sorted(found.problems["file"]) == ["sick/Thumbs.db", "sick/empty.png"]
        and found.unit == "patients"
    )
    expected = evaluate(
        found.predictions["label"], found.predictions["score"], found.predictions["patient"], 0.4
    )
    assert found.scores.equals(expected)
    with pytest.raises(ValueError, match="'sick'"):
        score_external(level, tmp_path, {"healthy": 0}, 0.4, size=8)
    with pytest.raises(ValueError, match="give size"):
        score_external(level, tmp_path, {"healthy": 0, "sick": 1}, 0.4)
    with pytest.raises(ValueError, match="threshold=40"):
        score_external(level, tmp_path, {"healthy": 0, "sick": 1}, 40, size=8)
    with pytest.raises(FileNotFoundError):
        score_external(level, tmp_path / "nowhere", {}, 0.4, size=8)


def test_one_class_says_sensitivity_and_nothing_else(tmp_path):
    found = score_external(
        level,
        folder(tmp_path),
        {"healthy": None, "sick": 1},
        152.5 / 255,
        size=8,
        patient=lambda file: file.split("_")[0],
    )
    row = found.scores.loc["sensitivity"]
    # three patients are too few for an interval
    assert row["value"] == 0.5 and row[["low", "high"]].isna().all()
    assert found.scores.drop("sensitivity").isna().all(axis=None)


def test_one_class_interval_covers():
    rng, held = np.random.default_rng(4), 0
    for _ in range(200):
        p = rng.beta(8, 2, 40)
        score = (rng.random((40, 15)) < p[:, None]).ravel().astype(float)
        patient = np.repeat(np.arange(40), 15)
        table = evaluate_external(np.ones(600, int), score, patient, 0.5)
        row = table.loc["sensitivity"]
        held += row["low"] <= 0.8 <= row["high"]
    assert 180 <= held <= 198


def test_black_outside_keeps_the_cell_and_fills_its_holes():
    crop = np.full((60, 60, 3), 215, np.uint8)
    cv2.circle(crop, (30, 30), 22, (190, 130, 140), -1)
    cv2.circle(crop, (30, 30), 6, (212, 205, 210), -1)  # a pale centre
    cv2.circle(crop, (57, 57), 3, (120, 60, 110), -1)  # a platelet beside it
    inside = np.hypot(*(np.indices((60, 60)) - 30)) < 20
    out = black_outside(crop)
    assert (
        np.array_equal(out[inside], crop[inside]) and not out[:5].any() and not out[55:, 55:].any()
    )


# ---- recalibration


def test_recalibration_mends_a_threshold_and_not_an_order():
    rng = np.random.default_rng(5)
    patient, label = np.repeat(np.arange(40), 30), rng.integers(2, size=1200)
    score = np.clip(0.3 + 0.4 * label + 0.1 * rng.normal(size=1200), 0, 1)
    t = recalibrate(label, 0.6 * score, patient, local=(5, 20))
    assert (
        (t["gain_low"] > 0.1).all()
        and (t["recalibrated"] > 0.93).all()
        and t.index.to_list() == [5, 20]
    )
    lost = recalibrate(label, rng.random(1200), patient, local=(5,))
    assert abs(lost["recalibrated"].iloc[0] - 0.5) < 0.05
    best = recalibrate(
        label, score, patient, local=(2, 20)
    )  # the best threshold already: few patients can only lose
    assert best.loc[2, "gain"] <= best.loc[20, "gain"] <= 0.01
    assert best.loc[2, "gain_low"] < 0  # which a threshold chosen on the tested patients never does
    with pytest.raises(ValueError, match="at least half"):
        recalibrate(label, score, patient, local=(21,))


def test_fewest_errors_against_every_threshold():
    rng = np.random.default_rng(6)
    for _ in range(50):
        label, score = np.r_[0, 1, rng.integers(2, size=20)], rng.random(22).round(1)
        errors = [((score >= t) != label).sum() for t in np.r_[np.unique(score), np.inf]]
        chosen = fewest_errors(label, score)
        assert ((score >= chosen) != label).sum() == min(errors)


# ---- what an import costs


@pytest.mark.parametrize("module", ["explain", "smear", "external", "counting", "stains"])
def test_an_import_brings_no_tensorflow(module):
    code = (
        f"import sys; import malaria_nb.{module}; "
        "print(*{'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_box_that_is_there_twice_is_scored_once(tmp_path):
    boxes = [box(1, 0, [20, 20, 20, 30]), box(2, 0, [20, 20, 20, 30]), box(3, 0, [50, 20, 9, 9], 2)]
    table = read_coco(coco(tmp_path, boxes), MAPPING)
    assert table["problem"].tolist() == ["", "the same box as #1", ""]
