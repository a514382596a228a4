"What would spoil frozen features: those of other cells, weights or pixels, and work done twice."

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from malaria_nb import arrays, features


class Killed(BaseException):
    pass


class Base:
    "Stands in for VGG-19: the features of an image are its first pixel's red, 512 times."

    def __init__(self, dies_after=None):
        self.seen, self.dies_after = [], dies_after

    def predict_on_batch(self, x):
        if self.dies_after is not None and len(self.seen) >= self.dies_after:
            raise Killed
        self.seen.append(len(x))
        return np.repeat(x[:, 0, 0, :1].astype("float32"), 512, axis=1)


@pytest.fixture
def images():
    images = np.zeros((200, 32, 32, 3), "uint8")
    images[:, 0, 0, 0] = np.arange(200)
    return images


@pytest.fixture
def compute(monkeypatch, tmp_path):
    "Compute features with a base that stands in for VGG-19."

    def computed(images, base, weights=None):
        monkeypatch.setattr(features, "vgg19_base", lambda *a: base)
        return features.frozen_features(
            images, weights, cache=tmp_path / "features", batch_size=8, progress=False
        )

    return computed


def right(found):
    return found.shape == (200, 512) and (found == np.arange(200)[:, None]).all()


def test_every_image_passes_once_and_never_again(images, compute):
    base = Base()
    first = compute(images, base)
    assert right(first) and sum(base.seen) == 200 and not first.flags.writeable
    assert right(compute(images, Base(dies_after=0)))


def test_no_base_is_built_where_the_features_are_there(images, compute, monkeypatch, tmp_path):
    compute(images, Base())
    monkeypatch.setattr(features, "vgg19_base", None)
    assert right(features.frozen_features(images, None, cache=tmp_path / "features"))


def test_a_killed_run_goes_on_where_it_stopped(images, compute, monkeypatch, tmp_path):
    monkeypatch.setattr(arrays, "_NOTED", 0)  # note every batch
    with pytest.raises(Killed):
        compute(images, Base(dies_after=18))
    assert not list(tmp_path.rglob("*.npy"))
    base = Base()
    assert right(compute(images, base)) and sum(base.seen) == 200 - 18 * 8


def test_other_pixels_weights_or_preprocessing_have_other_features(images, compute, tmp_path):
    compute(images, Base())
    images[7, 31, 31, 2] = 1
    base = Base()
    compute(images, base)
    (tmp_path / "w.h5").write_bytes(b"w")
    compute(images, base, tmp_path / "w.h5")
    how = {"cache": tmp_path / "features", "batch_size": 8, "progress": False}
    features.frozen_features(images, None, 32, "rgb-mean", **how)
    assert sum(base.seen) == 600


def test_two_at_once_do_the_work_once(images, compute):
    class Slow(Base):
        def predict_on_batch(self, x):
            time.sleep(0.01)
            return super().predict_on_batch(x)

    base = Slow()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: compute(images, base), range(2)))
    assert all(map(right, both)) and sum(base.seen) == 200


@pytest.mark.parametrize(
    "bad, says",
    [
        (np.zeros((2, 32, 32, 3), "float32"), "expected uint8"),
        (np.zeros((2, 32, 40, 3), "uint8"), "size, size"),
        (np.zeros((32, 32, 3), "uint8"), "expected uint8"),
        (np.zeros((2, 32, 32, 1), "uint8"), "expected uint8"),
    ],
)
def test_images_of_another_kind_are_refused(bad, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        features.frozen_features(bad, None, cache=tmp_path)


def test_a_size_that_the_images_do_not_have_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match="size=125"):
        features.frozen_features(images, None, 125, cache=tmp_path)


def test_a_full_disk_and_a_closed_folder_say_what_to_do(images, compute, monkeypatch, tmp_path):
    with monkeypatch.context() as m:
        m.setattr(arrays.shutil, "disk_usage", lambda p: type("U", (), {"free": 1000}))
        with pytest.raises(OSError, match="MALARIA_NB_HOME"):
            compute(images, Base())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionError, match="can't write"):
        features.frozen_features(images, None, cache=tmp_path / "file" / "features")


def test_lite0s_features_are_what_its_last_unit_reads(images, tmp_path):
    from malaria_nb.lite0 import lite0
    from malaria_nb.pretrained import find_lite0

    found = features.lite0_features(images[:3], find_lite0(), cache=tmp_path, progress=False)
    model = lite0(32, find_lite0())
    unit = model.get_layer("logit")
    logit = found @ np.asarray(unit.kernel) + np.asarray(unit.bias)
    score = 1 / (1 + np.exp(-logit))
    assert found.shape == (3, 1280)
    np.testing.assert_allclose(score, model.predict(images[:3], verbose=0), atol=1e-5)
    again = features.lite0_features(images[:4], find_lite0(), cache=tmp_path, progress=False)
    np.testing.assert_allclose(again[:3], found, atol=1e-5)
