"""What chapter 14 says of drawn fields, as it has stored it."""

from malaria_nb.claims import claim, shown

# drawn fields, as stored
claim(
    "More than one cell in twelve is lost before any network has looked",
    shown('"dark pieces": pieces}') == "{'red cells': 86, 'dark pieces': 74}",
    (86 - 74) / 86 > 1 / 12,
)
claim(
    """On synthetic fields more than 95 of 100 whole cells are found, and nearly all that is
    called a red cell is one.""",
    "recall 0.992" in shown("def by_field("),
    "precision 1.000" in shown("def by_field("),
)
claim(
    "The more cells are put beside another, the more are lost",
    "0.0 201 200 0 1 0 0.995 0.6 205 198 2 5 0 0.966" in shown("def crowded(touching)"),
)
claim(
    """1.1 % of the parasitized cells are lost against 0.7 % of the others, and it may be 3.2 %,
    more than four times as many.""",
    "uninfected cells lost 0.007" in shown("def lost(label)"),
    "parasitized cells lost 0.011 0.002 0.032" in shown("def lost(label)"),
)
claim(
    "The columns all but meet, at 21.2 and 20.7",
    "25 21.2 16.6" in shown("def trial(i, blur)"),
    "90 162.0 20.7" in shown("def trial(i, blur)"),
)
claim(
    """Halfway between the worst sharp and the best blurred trial field (in ratio, as this
    measure lives on ratios) is 3.1""",
    "50 6.0 1.6" in shown('focus = [measure_field(f)["focus"]'),
    shown('focus = [measure_field(f)["focus"]').endswith("3.1)"),
)
held = shown("pd.concat(coverage, names=")
claim(
    """With independent cells Wilson's interval keeps its 95 %, or nearly; where parasites
    gather it holds the truth in 76 of 100 studies. By field the interval is twice as wide, and
    keeps its promise, or nearly.""",
    "independent cells Wilson, by cell 0.95" in held,
    "gather in fields Wilson, by cell 0.76 1.21 by field 0.96 2.45" in held,
    round(2.45 / 1.21) == 2,
    "by field 0.94 1.42" in held,
)
claim(
    "clipped, a group of uninfected patients has a mean parasitaemia of half a per cent.",
    "clipped': '+0.45%'" in shown("apparent = rng.binomial(500"),
)
three = shown("def three_intervals(p")
claim(
    """An interval that takes the rates as known holds the truth too seldom at every
    parasitaemia; for an uninfected patient, in fewer than three studies of four. The delta
    method, too, falls short there.""",
    "0.0% 0.683 0.894 0.988 1.0% 0.815 0.951 0.987 5.0% 0.904 0.957 0.969 20.0% 0.915" in three,
)
claim(
    "Eleven of twelve 95 % intervals hold the truth, and one of twelve may well miss by luck.",
    "'95 % intervals that hold the truth': '11 of 12'" in shown('"nearer to the truth": f"'),
)
claim(
    "34 on the one that stored this page",
    "the worst by 34" in shown("After the correction the median synthetic patient"),
)
