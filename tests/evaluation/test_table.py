from __future__ import annotations

from fornix.evaluation.table import (
    COLUMNS,
    INTERVAL_COLUMNS,
    interval_table,
    score_row,
    score_table,
)


def test_tables_have_their_columns_and_types_also_when_empty():
    row = score_row(subject="01", target="a/b", unit="V1", metric="pearson_r", value=0.5, n=10)
    other = score_row(
        subject="01", target="a/b", unit="V2", metric="r2", value=0.1, n=10, interval=(-0.1, 0.1)
    )
    for rows in ([], [row, other]):
        scores, intervals = score_table(rows, "fit1"), interval_table(rows, "fit1")
        assert tuple(scores) == COLUMNS
        assert tuple(intervals) == INTERVAL_COLUMNS
        assert scores["n"].dtype == "int64"
        assert scores["p"].dtype == "float64"
        assert len(scores) == len(rows)
    # Rows without a null distribution have no interval.
    assert intervals["unit"].tolist() == ["V2"]
    assert set(scores["fit"]) == {"fit1"}
    assert scores["p"].isna().all()
