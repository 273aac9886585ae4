"""Tab-separated tables as BIDS writes them, read strictly and with line numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fornix.errors import FornixError

MISSING = {"", "n/a", "N/A", "nan", "NaN", "NA"}
"""Cells that hold no value; BIDS knows ``n/a`` only, real tables know the others too."""

_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*|(?=\.\d))(\.\d*)?([eE][+-]?\d+)?")
"""A number that survives being one: ``01`` is a label, and stays text."""


@dataclass(frozen=True)
class Table:
    """A table of text cells.

    Attributes
    ----------
    columns
        Names, in the file's order.
    rows
        One list of cells a data row, as many as there are columns.
    lines
        The line of the file on which each row ends, 1-based.
    """

    columns: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """Return one column's cells."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def read_tsv(path: Path) -> Table:
    """Read a tab-separated table.

    Raises
    ------
    FornixError
        If it can't be read, is empty, names a column twice, or has a row of the wrong length.
    """
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = f"the table can't be read: {error.strerror}"
        raise FornixError(problem, where=where, mend="fetch or restore the file") from None
    except UnicodeDecodeError as error:
        problem = f"the table isn't UTF-8 text: {error.reason} at byte {error.start}"
        raise FornixError(problem, where=where, mend="save it as UTF-8") from None
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        mend = "write a header line and one line a row, cells separated by tabs"
        problem = "the table is empty"
        raise FornixError(problem, where=where, mend=mend)
    # A lone quotation mark (a word of a text) would swallow the rows after it.
    lone = any(line.count('"') % 2 for line in lines)
    reader = csv.reader(
        lines, delimiter="\t", quoting=csv.QUOTE_NONE if lone else csv.QUOTE_MINIMAL
    )
    columns = [name.strip() for name in next(reader)]
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        problem = f"the header names {', '.join(map(repr, doubled))} more than once"
        raise FornixError(problem, where=f"{where}:1", mend="give each column its own name")
    rows, numbers = [], []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            problem = f"{len(row)} cells in a row of a table with {len(columns)} columns"
            mend = "separate cells by single tabs, and write n/a where a value is missing"
            raise FornixError(problem, where=f"{where}:{reader.line_num}", mend=mend)
        rows.append([cell.strip() for cell in row])
        numbers.append(reader.line_num)
    return Table(columns, rows, numbers)


def is_missing(cell: str | None) -> bool:
    """Return whether a cell holds no value."""
    return cell is None or cell in MISSING


def typed(cells: Sequence[str | None]) -> pd.Series[Any]:
    """Return a column as float64 where every value is a number, else as text with None.

    Examples
    --------
    >>> typed(["1", "n/a", "2.5"]).tolist()
    [1.0, nan, 2.5]
    >>> typed(["01", "n/a"]).tolist()
    ['01', None]
    """
    values = [None if is_missing(cell) else cell for cell in cells]
    known = [value for value in values if value is not None]
    if known and all(_NUMBER.fullmatch(value) for value in known):
        numbers = [float("nan") if value is None else float(value) for value in values]
        return pd.Series(numbers, dtype="float64")
    return pd.Series(values, dtype="object")


def with_none(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose text columns mark missing values by None, as they were written.

    Parquet gives them back as NaN, which is a float and true.
    """
    found = table.copy()
    for name in table.columns:
        if table[name].dtype.kind not in "biuf":
            column = table[name].astype("object")
            found[name] = column.where(column.notna(), None)
    return found


def free_name(name: str, taken: Sequence[str]) -> str:
    """Return a table's own column name, changed where Fornix uses that name itself."""
    return f"{name}_column" if name in taken else name
