"""Verdicts follow from the numbers, and say so when there are none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fornix.evaluation.claims import judge
from fornix.evaluation.table import COLUMNS, KEYS
from fornix.study.claims import AboveChance, AtChance, AtLeast, Best, Greater, Near, Tie, Trend


def scores(rows):
    defaults = {
        "study": "s",
        "fit": "enc",
        "session": "all",
        "target": "a/one",
        "unit": "V1",
        "time": np.nan,
        "metric": "pearson_r",
        "chance": 0.0,
        "ceiling": np.nan,
        "p": np.nan,
        "n": 10,
    }
    table = pd.DataFrame([{**defaults, **row} for row in rows])
    return table.reindex(columns=list(COLUMNS))


def three(values, p=0.001, **more):
    names = ["01", "02", "03", "04", "05", "06", "07", "08"]
    return [
        {"subject": name, "value": value, "p": p, **more}
        for name, value in zip(names, values, strict=False)
    ]


PICK = {"fit": "enc", "metric": "pearson_r"}


def above(**more):
    return AboveChance(text="t", test="above_chance", scores={**PICK, **more})


def test_few_subjects_need_a_small_p_each():
    assert judge(above(), scores(three([0.3, 0.4, 0.5]))).verdict == "supported"
    rows = three([0.3, 0.4, 0.5])
    rows[1]["p"] = 0.2
    found = judge(above(), scores(rows))
    assert found.verdict == "not supported"
    assert "mean 0.400 of 3 subjects (0.300, 0.400, 0.500)" in found.numbers
    assert found.n_rows == 3


def test_several_rows_a_subject_pay_for_the_smallest_p():
    rows = [row for unit in "abcde" for row in three([0.3], p=0.02, unit=unit)]
    assert judge(above(), scores(rows)).verdict == "not supported"
    assert judge(above(unit="a"), scores(rows)).verdict == "supported"


def test_many_subjects_are_tested_together():
    values = [0.1, 0.2, 0.15, 0.05, 0.3, 0.12, 0.18, 0.22]
    found = judge(above(), scores(three(values, p=0.9)))
    assert found.verdict == "supported"
    t = stats.ttest_1samp(values, 0, alternative="greater").statistic
    assert f"t(7) = {t:.2f}" in found.numbers
    assert judge(above(), scores(three([-v for v in values]))).verdict == "not supported"


def test_a_control_is_at_chance_unless_a_corrected_p_is_small():
    claim = AtChance(text="t", test="at_chance", scores=PICK)
    assert judge(claim, scores(three([0.01, -0.02, 0.0], p=0.4))).verdict == "supported"
    assert judge(claim, scores(three([0.5, 0.4, 0.6], p=0.001))).verdict == "not supported"
    # One of sixty at p = 0.01 is what chance brings.
    rows = [row for i in range(60) for row in three([0.0], p=0.5, unit=f"u{i}")]
    rows[0]["p"] = 0.01
    assert judge(claim, scores(rows)).verdict == "supported"


def test_one_leak_among_very_many_scores_is_seen():
    # 1 / 1001 times 180 scores is no longer small: the permutation p alone could never tell.
    rows = [row for i in range(60) for row in three([0.0], p=0.5, unit=f"u{i}")] * 3
    for number, row in enumerate(rows):
        row = rows[number] = dict(row, target=f"a/{number}")  # noqa: PLW2901
    rows[7].update(value=0.6, p=1 / 1001)
    table = scores(rows)
    intervals = table[list(KEYS)].assign(low=-0.1, high=0.1)
    claim = AtChance(text="t", test="at_chance", scores=PICK)
    assert judge(claim, table, intervals).verdict == "not supported"


def test_a_control_below_chance_is_not_at_chance():
    table = scores(three([-0.4, -0.5, -0.3], p=0.999))
    claim = AtChance(text="t", test="at_chance", scores=PICK)
    assert judge(claim, table).verdict == "not supported"
    intervals = table[list(KEYS)].assign(low=-0.1, high=0.1)
    assert judge(claim, table, intervals).verdict == "not supported"


def test_the_intervals_level_counts():
    table = scores(three([0.11], p=0.01))
    intervals = table[list(KEYS)].assign(low=-0.1, high=0.1)
    claim = AtChance(text="t", test="at_chance", scores=PICK)
    assert judge(claim, table, intervals).verdict == "not supported"
    assert judge(claim, table, intervals, confidence=0.5).verdict == "supported"


def test_the_best_of_many_times_is_not_above_chance_by_itself():
    random = np.random.default_rng(0)
    rows = [
        {"subject": f"{s}", "value": value, "time": t / 10, "p": float(stats.norm.sf(value / 0.1))}
        for s in range(8)
        for t, value in enumerate(0.1 * random.standard_normal(20))
    ]
    assert judge(above(best=True), scores(rows)).verdict == "not supported"
    for row in rows:
        if row["time"] == 1.0:
            row.update(value=0.5, p=0.001)
    assert judge(above(best=True), scores(rows)).verdict == "supported"


def test_a_pattern_for_subjects_does_not_take_the_group():
    rows = [*three([0.3, 0.4, 0.5]), {"subject": "group", "value": 9.0, "p": 0.001}]
    assert judge(above(subject="*"), scores(rows)).n_rows == 3
    assert judge(above(subject="group"), scores(rows)).n_rows == 1


def test_a_control_says_how_many_lie_within_the_null():
    table = scores(three([0.01, -0.02, 0.3], p=0.4))
    intervals = table[list(KEYS)].assign(low=-0.1, high=0.1)
    claim = AtChance(text="t", test="at_chance", scores=PICK)
    assert "2 of 3 within the null's interval" in judge(claim, table, intervals).numbers


@pytest.mark.parametrize(("threshold", "verdict"), [(0.4, "supported"), (0.41, "not supported")])
def test_at_least_is_about_the_mean_over_subjects(threshold, verdict):
    claim = AtLeast(text="t", test="at_least", scores=PICK, threshold=threshold)
    assert judge(claim, scores(three([0.3, 0.4, 0.5]))).verdict == verdict


def test_best_takes_each_subjects_best_time():
    rows = [
        {"subject": "01", "value": value, "time": time}
        for time, value in [(-0.1, 0.5), (0.1, 0.7), (0.2, 0.95), (0.9, 0.99)]
    ]
    select = {**PICK, "time": [0.0, 0.5], "best": True}
    claim = AtLeast(text="t", test="at_least", scores=select, threshold=0.9)
    assert judge(claim, scores(rows)).verdict == "supported"
    mean = AtLeast(text="t", test="at_least", scores={**select, "best": False}, threshold=0.9)
    assert judge(mean, scores(rows)).verdict == "not supported"


def test_near_reads_a_column():
    rows = three([0.1, 0.1, 0.1], ceiling=0.77)
    claim = {"text": "t", "test": "near", "scores": PICK, "expected": 0.775, "tolerance": 0.01}
    assert judge(Near(**claim, column="ceiling"), scores(rows)).verdict == "supported"
    assert judge(Near(**claim), scores(rows)).verdict == "not supported"
    assert judge(Near(**claim, column="ceiling"), scores(three([1]))).verdict == "not testable here"


def test_greater_holds_in_every_subject():
    rows = three([0.3, 0.4, 0.5]) + three([0.1, 0.2, 0.45], target="b/two")
    claim = Greater(
        text="t",
        test="greater",
        scores={**PICK, "target": "a/*"},
        than={**PICK, "target": "b/*"},
    )
    assert judge(claim, scores(rows)).verdict == "supported"
    rows[-1]["value"] = 0.6
    assert "greater in 2 of 3" in judge(claim, scores(rows)).numbers
    assert judge(claim, scores(rows)).verdict == "not supported"


def test_best_wins_in_every_subject():
    rows = three([0.3, 0.4, 0.5]) + three([0.1, 0.2, 0.45], target="b/two")
    claim = Best(text="t", test="best", scores=PICK, winner="a/one")
    assert judge(claim, scores(rows)).verdict == "supported"
    other = Best(text="t", test="best", scores=PICK, winner="b/two")
    assert judge(other, scores(rows)).verdict == "not supported"
    absent = Best(text="t", test="best", scores=PICK, winner="c/none")
    assert judge(absent, scores(rows)).verdict == "not testable here"
    alone = judge(claim, scores(three([0.3])))
    assert alone.verdict == "not testable here"
    assert "no competitor" in alone.numbers


def profile(*subjects):
    """Return scores of layers, deepest last, for each subject."""
    return scores([
        {"subject": f"{i:02d}", "target": f"net/layer{9 - depth}", "value": value}
        for i, layers in enumerate(subjects) for depth, value in enumerate(layers)
    ])  # fmt: skip


def trend(direction, by=0.1, **more):
    select = {**PICK, "target": "net/*"}
    return Trend(text="t", test="trend", scores=select, direction=direction, by=by, **more)


def test_a_trend_goes_from_the_first_third_to_the_last_in_the_tables_order():
    rising = profile([0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.1, 0.2, 0.1, 0.3, 0.3])
    found = judge(trend("rises"), rising)
    assert found.verdict == "supported"
    assert "from the first to the last 2 of 6: mean 0.300 of 2 subjects (0.400, 0.200)" in (
        found.numbers
    )
    assert judge(trend("falls"), rising).verdict == "not supported"
    assert judge(trend("flat"), rising).verdict == "not supported"
    one_falls = profile([0.0, 0.1, 0.5], [0.3, 0.2, 0.1])
    assert judge(trend("rises"), one_falls).verdict == "not supported"
    assert judge(trend("falls"), profile([0.5, 0.1, 0.2])).verdict == "supported"


def test_a_flat_profile_changes_less_than_what_counts():
    still = profile([0.1, 0.5, 0.12], [0.1, 0.0, 0.09])
    assert judge(trend("flat", by=0.05), still).verdict == "supported"
    assert judge(trend("rises", by=0.05), still).verdict == "not supported"
    assert judge(trend("rises", by=0.0), profile([0.1, 0.2, 0.1])).verdict == "not supported"


def test_many_subjects_trends_are_tested_together():
    rng = np.random.default_rng(0)
    subjects = [[0.0, 0.1, 0.15 + 0.05 * one] for one in rng.standard_normal(10)]
    found = judge(trend("rises"), profile(*subjects))
    change = [layers[2] - layers[0] for layers in subjects]
    t = stats.ttest_1samp(change, 0, alternative="greater")
    assert found.verdict == "supported"
    assert f"t(9) = {t.statistic:.2f}" in found.numbers
    noise = [[0.0, 0.1, one] for one in rng.standard_normal(10)]
    assert judge(trend("rises"), profile(*noise)).verdict == "not supported"


def test_a_trend_needs_three_layers():
    found = judge(trend("rises"), profile([0.1, 0.5]))
    assert found.verdict == "not testable here"
    assert "a trend needs three targets, and there are 2" in found.numbers


def test_an_analysis_has_no_subject():
    rows = scores([{"subject": "", "value": 0.5, "p": 0.01}])
    assert judge(above(), rows).numbers.startswith("0.500; permutation")


def test_the_group_is_no_subject_unless_asked_for():
    rows = [*three([0.3, 0.3], p=0.001), {"subject": "group", "value": 0.9, "p": 0.5}]
    assert judge(above(), scores(rows)).verdict == "supported"
    assert judge(above(subject="group"), scores(rows)).verdict == "not supported"


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ({"metric": "auc"}, ["enc", "auc", "pearson_r"]),
        ({"unit": "V9"}, ["unit V9", "V1"]),
        ({"target": "x/*"}, ["target x/*", "a/one"]),
        ({"time": [0, 1]}, ["times"]),
    ],
)
def test_what_is_not_there_is_not_testable(select, words):
    found = judge(above(**select), scores(three([0.3])))
    assert found.verdict == "not testable here"
    assert all(word in found.numbers for word in words)


def test_without_permutations_chance_is_not_testable():
    found = judge(above(), scores(three([0.3], p=np.nan)))
    assert found.verdict == "not testable here"
    assert "permutations" in found.numbers


def test_names_match_whatever_their_case():
    assert judge(above(unit="v1", target="A/*"), scores(three([0.3]))).verdict == "supported"


def faster(n=8, units="abc", lead=0.1, seed=0):
    """Return scores of two fits in several units; the first leads, more in some subjects."""
    rng = np.random.default_rng(seed)
    rows = []
    for subject in range(n):
        mine = lead + 0.05 * rng.standard_normal()
        for unit in units:
            level = rng.random()
            for fit, more in (("enc", mine), ("other", 0.0)):
                value = level + more + 0.02 * rng.standard_normal()
                rows.append({"subject": f"{subject}", "unit": unit, "fit": fit, "value": value})
    return rows


def quicker(**more):
    return Greater(text="t", test="greater", scores=PICK, than={**PICK, "fit": "other"}, **more)


def test_fits_are_paired_by_unit_and_their_difference_has_an_interval():
    rows = faster()
    # A unit that one fit lacks is left out of both: it was the best of the other's.
    rows.append({"subject": "0", "unit": "d", "fit": "other", "value": 9.0})
    table = scores(rows)
    found = judge(quicker(), table)
    assert found.verdict == "supported"
    kept = table[table["unit"] != "d"].pivot_table("value", "subject", "fit")
    difference = kept["enc"] - kept["other"]
    t = stats.ttest_1samp(difference, 0, alternative="greater")
    low, high = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    expected = f"difference {difference.mean():+.3f} [{low:.3f}, {high:.3f}], d_z = "
    assert expected in found.numbers
    assert f"t(7) = {t.statistic:.2f}" in found.numbers
    assert "paired in 24 units" in found.numbers
    level = judge(quicker(), scores(faster(lead=-0.02)))
    assert level.verdict == "not supported"


def test_a_mixed_model_tests_all_pairs():
    table = scores(faster())
    means, rows = judge(quicker(), table), judge(quicker(over="rows"), table)
    assert rows.verdict == "supported"
    assert "mixed model of 24 scores, t(7) = " in rows.numbers
    # As many units in every subject: the same test.
    assert rows.numbers.split("t(7)")[1][:7] == means.numbers.split("t(7)")[1][:7]


def test_few_subjects_are_told_what_they_can_reach():
    found = judge(quicker(), scores(faster(n=3)))
    assert found.verdict == "supported"
    assert "3 subjects' signs reach p = 0.12 at best" in found.numbers
    best = Best(text="t", test="best", scores={"fit": "enc", "metric": "pearson_r"}, winner="a/one")
    rows = three([0.3, 0.4, 0.5, 0.3, 0.4, 0.5]) + three([0.1] * 6, target="b/two")
    assert "ahead by +0.300 [" in judge(best, scores(rows)).numbers


def test_above_chance_says_by_how_much():
    values = [0.1, 0.2, 0.15, 0.05, 0.3, 0.12, 0.18, 0.22]
    found = judge(above(), scores(three(values, chance=0.05)))
    d = (np.mean(values) - 0.05) / np.std(values, ddof=1)
    assert f"above chance by +0.115 [0.050, 0.180], d_z = {d:.2f} [" in found.numbers


def test_greater_keeps_its_error_rate_with_units_that_go_together():
    held = [judge(quicker(), scores(faster(lead=0, seed=s))).verdict for s in range(200)]
    # 5 % of 200, and no more than the 99.9 % bound.
    assert held.count("supported") <= 22


def pair(values, others):
    return scores(three(values) + three(others, fit="other"))


def against(kind, **more):
    words = {Greater: "greater", Tie: "tie"}
    return kind(text="t", test=words[kind], scores=PICK, than={**PICK, "fit": "other"}, **more)


def test_greater_can_ask_for_a_margin():
    rows = pair([0.5, 0.6], [0.35, 0.3])
    assert judge(against(Greater, by=0.1), rows).verdict == "supported"
    found = judge(against(Greater, by=0.2), rows)
    assert found.verdict == "not supported"
    assert "greater by more than 0.2 in 1 of 2" in found.numbers
    many = np.linspace(0.4, 0.5, 8)
    assert (
        judge(
            against(Greater, by=0.1), pair(many + 0.15 + 0.01 * np.sin(np.arange(8)), many)
        ).verdict
        == "supported"
    )
    assert (
        judge(
            against(Greater, by=0.2), pair(many + 0.15 + 0.01 * np.sin(np.arange(8)), many)
        ).verdict
        == "not supported"
    )


def test_a_tie_is_within_the_margin_whichever_way():
    assert judge(against(Tie, within=0.1), pair([0.5, 0.6], [0.45, 0.65])).verdict == "supported"
    for one, other in (([0.5, 0.6], [0.3, 0.6]), ([0.3, 0.6], [0.5, 0.6])):
        found = judge(against(Tie, within=0.1), pair(one, other))
        assert found.verdict == "not supported"
        assert "within 0.1 in 1 of 2" in found.numbers
    lonely = scores(three([0.5]) + three([0.5], fit="other")[:0])
    assert judge(against(Tie, within=0.1), lonely).verdict == "not testable here"


def test_a_tie_of_many_is_an_equivalence_test():
    rng = np.random.default_rng(0)
    many, noise = np.full(8, 0.5), 0.05 * rng.standard_normal(8)
    found = judge(against(Tie, within=0.1), pair(many + noise, many))
    assert found.verdict == "supported"
    t = [
        stats.ttest_1samp(noise, bound, alternative=side).pvalue
        for bound, side in ((-0.1, "greater"), (0.1, "less"))
    ]
    assert max(t) < 0.05
    # No difference in the mean, but too much spread to say so.
    assert judge(against(Tie, within=0.1), pair(many + 8 * noise, many)).verdict == "not supported"
