"""What chapter 02 measures on its cells: channels, resizing, memory, one number, sharpness."""

from malaria_nb.claims import claim, given, shown


def numbers(text, after):
    "Return the numbers that stand behind a word of an output, up to the next word."
    found = []
    for word in text.split(after)[1].split():
        if not word.replace(".", "").isdigit():
            break
        found.append(float(word))
    return found


channels = shown('["first", "second", "third"]')
first, _, last = [numbers(channels, name)[0] for name in ("first", "second", "third")]
claim("Here it is the last.", last > first)

given(
    "The article takes 125 × 125 pixels, this course 64 × 64 at its quick scale.",
    "Sarkar (2019); `settings.SCALES`",
)
given(
    """the largest of the 27,558 cells is 394 pixels wide, and squares of that size have ten
    times as many pixels as 125 × 125.""",
    "chapter 01, from the headers of all files; (394 / 125)² is 9.9",
)
given(
    "Move a dot of 3 × 3 pixels, smaller than any parasite, across a cell of 130 pixels.",
    "a choice; 130 is the median side of the training images in Sarkar (2019)",
)
given("A cell shrinks from 130 to 64 pixels.", "the same choice")
light = shown("pd.DataFrame(rows).T.round(2)")
claim(
    """`area` always keeps the whole dot. At 125 pixels the other two do almost as well. At 64 they
    keep less than half of its light or nearly double it, depending only on where the dot lies.""",
    numbers(light, "125 px, area")[:2] == numbers(light, "64 px, area")[:2] == [1, 1],
    min(numbers(light, "125 px, linear")[:2] + numbers(light, "125 px, cubic")[:2]) > 0.95,
    max(numbers(light, "125 px, linear")[:2] + numbers(light, "125 px, cubic")[:2]) < 1.05,
    numbers(light, "64 px, linear")[:2] == [0.46, 1.75],
    numbers(light, "64 px, cubic")[:2] == [0.42, 1.79],
)

given(
    """Training reads every image once per [epoch](glossary.md#epoch), and the article trains for
    25.""",
    "Sarkar (2019)",
)
given("The article stores 32-bit floats, then makes a second copy divided by 255.", "Sarkar (2019)")
given(
    "A photograph has 256 levels per channel, and one byte holds 256 values.",
    "the PNG files have 8 bits",
)
memory = shown("bytes_a_value = ")
sizes = {n: round(27_558 * 125 * 125 * 3 * n / 1e9, 2) for n in (1, 8)}
claim(
    "10.33 GB against 1.29 GB, and not one level of colour is lost.",
    sizes == {1: 1.29, 8: 10.33},
    numbers(memory, "float32, twice (article)")[:2] == [8, 10.33],
    numbers(memory, "uint8 (this course)")[:2] == [1, 1.29],
)
given("The division by 255 moves into the model", "a setting")
claim("1.29 GB on disk, not 10.33 GB in memory", sizes == {1: 1.29, 8: 10.33})

given("guessing scores 0.5.", "by definition")
given("The 99th percentile finds the most purple spot", "a choice")
scores = shown('pd.DataFrame({"AUC": scores})')
sides = [numbers(scores, f"purple excess at {side} px")[0] for side in (32, 64, 125)]
given(
    "At which size does purple excess separate the classes best: 32, 64 or 125 pixels?", "a choice"
)
given("At 125 pixels, clearly", "the same")
given("A parasite has fifteen times as many pixels there as at 32.", "(125 / 32)² is 15.3")
given("At 32 pixels: averaging removes noise", "the same")
claim("Almost equally at all three", max(sides) - min(sides) < 0.01)
claim(
    """At every size, the parasitized cell has the larger purple excess in more than nine out of
    ten pairs.""",
    min(sides) > 0.9,
)
given("Even at 32 pixels most parasites remain visible", "the AUC at 32 pixels, just claimed")
claim("ranks more than nine pairs in ten correctly", sides[1] > 0.9)
claim(
    """Area and black lie near the 0.5 of guessing: losing size costs little, and black is a weak
    shortcut.""",
    abs(numbers(scores, "area of the cell")[0] - 0.5) < 0.07,
    abs(numbers(scores, "proportion of black")[0] - 0.5) < 0.07,
)
value, low, high, _, cells, patients = numbers(shown("ratio_interval("), "patients 0")
claim(
    """`value` is the accuracy, and `low` and `high` are its 95 % interval. The interval is wide
    because there are few *patients*, however many cells each has; with fewer than ten
    patients, as in the sample, there is none.""",
    low < value < high,
    high - low > 0.05,
    (cells, patients) == (280, 14),
)

claim(
    "In the article's third model: 17 training and 9 validation images, every epoch.",
    (17_361 % 64, 1_929 % 64) == (17, 9),
)
moved = shown('"rotation by 25°"')
claim(
    "It enlarges or shrinks by up to 5 %, which moves a pixel at the border by three.",
    numbers(moved, "zoom by 0.05") == [3.12],
)
claim(
    "It is a fraction of the width: up to six pixels of 125.",
    numbers(moved, "shift by 0.05") == [6.25],
)
claim(
    "Yes. `ImageDataGenerator` takes it in *degrees*.",
    numbers(moved, "shear by 0.05°") == [0.05],
)
given("The author probably meant 5 %.", "a guess")
given("| its bits | 000 | 001 | 010 | 011 | 100 | 101 | 110 | 111 |", "the digits of 0 to 7")
given("Why ±25°, and why flip only left to right?", "Sarkar (2019)")
left = shown('pd.DataFrame({"sharpness left": left})')
one, five = (numbers(left, f"the article's, {how}")[0] for how in ("in one step", "as five layers"))
claim("The symmetries keep all the sharpness.", numbers(left, "eight symmetries") == [1])
claim(
    "One interpolation loses some of it; four in a row, with 5 % shear, lose most.",
    0.5 < one < 0.9,
    five < 0.4,
)
complete = True
