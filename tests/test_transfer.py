"What would spoil chapter 05: layers that move, halves that don't fit, code of ours in a file."

import numpy as np
import pytest

from malaria_nb import transfer
from malaria_nb.weights import moved


@pytest.fixture(scope="module")
def base32():
    return transfer.vgg19_base(None, 32)


def test_nothing_of_ours_is_in_a_saved_model(tmp_path, base32):
    import json
    import zipfile

    import keras

    joined = transfer.join(base32, transfer.vgg19_head(512))
    joined.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as z:
        config = z.read("config.json").decode()
    assert "malaria_nb" not in config and "Lambda" not in config
    assert json.loads(config)["registered_name"] in (None, "Functional")
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(again.predict_on_batch(x), joined.predict_on_batch(x), atol=1e-6)


def test_random_weights_are_the_same_every_time_and_tell_images_apart(base32):
    twin = transfer.vgg19_base(None, 32)
    assert set(moved(base32, twin).values()) == {0.0}
    f = base32.predict_on_batch(
        np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype="uint8")
    )
    assert 0.1 < f.mean() < 10 and f.std(axis=0).mean() > 0.1 * f.mean()


def test_fine_tuning_starts_from_a_copy_of_the_head():
    head = transfer.vgg19_head(512)
    model = transfer.vgg19_finetuned(None, 32, head)
    assert moved(head, model) == {"hidden1": 0, "hidden2": 0, "score": 0}
    model.get_layer("hidden1").bias.assign(np.ones(512))
    assert (head.get_layer("hidden1").get_weights()[1] == 0).all()


@pytest.mark.parametrize(
    "build, free", [(transfer.vgg19_frozen, ()), (transfer.vgg19_finetuned, ("block4", "block5"))]
)
def test_training_moves_only_what_may_learn(build, free):
    model, twin = build(None, 32), build(None, 32)
    twin.set_weights(model.get_weights())
    model.compile("rmsprop", "binary_crossentropy")
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype="uint8")
    model.train_on_batch(x, np.array([[0.0], [1], [0], [1]]))
    learned = {name for name, far in moved(twin, model).items() if far}
    may = {layer.name for layer in model.layers if layer.weights}
    assert learned == {n for n in may if n.startswith((*free, "hidden", "score"))}


def test_halves_of_different_sizes_are_not_joined(base32):
    with pytest.raises(ValueError, match="the base gives 512 features and the head takes 4,608"):
        transfer.join(base32, transfer.vgg19_head(4608))
