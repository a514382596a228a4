"""What chapter 02 says of one number on purple, and of what resizing does to a dot."""

from malaria_nb.claims import claim, shown
from malaria_nb.records import load

claim(
    "In more than nine pairs of ten",
    all(load("purple_threshold", seed=n).metrics.loc["auc", "value"] > 0.9 for n in (42, 43, 44)),
)
light = shown("light.round(2)")
claim(
    "Yes. Every old pixel belongs to some new one and counts with its full area.",
    "to 125 px area 1.00 1.00" in light,
    "to 64 px area 1.00 1.00 linear 0.46 1.75 cubic 0.42 1.79" in light,
)
claim(
    "In the article that is 17 training and 9 validation images, every epoch",
    (17_361 % 64, 1_929 % 64) == (17, 9),
)
