"""What chapter 03 counts in the article's first network."""

from malaria_nb.claims import claim, rounded

SIDES = (125, 62, 31)  # of the pictures that the three convolutions read
IN, OUT = (3, 32, 64), (32, 64, 128)
UNITS = ((15 * 15 * 128, 512), (512, 512), (512, 1))
parameters = [(9 * i + 1) * o for i, o in zip(IN, OUT)] + [(i + 1) * o for i, o in UNITS]
multiplied = [side**2 * 9 * i * o for side, i, o in zip(SIDES, IN, OUT)]
multiplied += [i * o for i, o in UNITS]
total = sum(parameters)

claim(
    "Nine hundred against more than twenty thousand million.",
    parameters[0] == 896,
    (125 * 125 * 3 + 1) * 125 * 125 * 32 > 20_000_000_000,
)
claim(
    """One dense layer holds 97.6 % of the parameters and does 9 % of the work; the three
    convolutions hold 0.6 % and do 91 %.""",
    total == 15_102_529,
    rounded(100 * parameters[3] / total, 1) == 97.6,
    rounded(100 * multiplied[3] / sum(multiplied), 0) == 9,
    rounded(100 * sum(parameters[:3]) / total, 1) == 0.6,
    rounded(100 * sum(multiplied[:3]) / sum(multiplied), 0) == 91,
)
claim(
    "15 × 15 places with 128 channels each are 28,800 numbers",
    15 * 15 * 128 == 28_800,
)
