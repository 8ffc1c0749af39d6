"""Numbers as vendors and spreadsheets write them: 1.234,56 and 1,234.56, $12.34, 1.23M."""

from __future__ import annotations

import re

import pandas as pd

from llmguide.errors import DataError

__all__ = ["plain_numbers"]

_PLAIN = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CELL = r"^([+-]?)\s*[$€£¥]?\s*(\d[\d.,'’\s]*|[.,]\d+)(?:[eE]([+-]?\d+)|\s?([KMBTkmbt]))?\s*[$€£¥]?$"
_THOUSANDS = {"k": "e3", "m": "e6", "b": "e9", "t": "e12"}
_NO_VOLUME = ("-", "–", "—")
# "1,234" may be either; these may be one thing only.
_ONE_SEPARATOR = r"(?:\d*{0}(?:\d{{0,2}}|\d{{4,}})|0\d*{0}\d{{3}}|\d{{4,}}{0}\d{{3}}|{0}\d+)"
_EITHER = r"[1-9]\d{{0,2}}{0}\d{{3}}"


def plain_numbers(name: str, table: pd.DataFrame, *, semicolons: bool) -> pd.DataFrame:
    """Rewrite numbers in text to the plain form of Python, where they are not in it already.

    Which of the point and the comma separates decimals is decided from all numbers of the table together, and they are
    left alone where all are plain. What is no number stays as it came. A volume may end in K, M, B or T, and be "-"
    where there is none.

    Args:
        semicolons: the cells came separated by semicolons, as where commas separate decimals.

    Raises DataError where the numbers allow both readings, or contradict each other.
    """
    texts = {column: text for column in table if len(text := _texts(table[column]))}
    if not texts:
        return table
    cells = pd.Series(pd.concat(list(texts.values())).unique(), dtype=object)
    plain = bool(cells.str.fullmatch(_PLAIN).all())
    if plain and not semicolons:
        return table
    decimal = _decimal(name, cells, semicolons=semicolons)
    if plain and decimal == ".":
        return table
    columns = {}
    for column in table:
        columns[column] = table[column]
        if column in texts:
            text = texts[column]
            read = text.map({cell: _rewritten(cell, decimal, column == "volume") for cell in text.unique()})
            values = table[column].astype(object).to_numpy(copy=True)
            values[text.index.to_numpy()] = read.to_numpy(dtype=object)
            columns[column] = pd.Series(values, index=table.index, dtype=object)
    return pd.DataFrame(columns, index=table.index)


def _texts(column: pd.Series) -> pd.Series:
    """The cells that are text, stripped, by their row numbers."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return pd.Series(dtype=object)
    cells = column.astype(object).reset_index(drop=True)
    return cells[cells.map(lambda cell: isinstance(cell, str)).astype(bool)].str.strip()


def _decimal(name: str, cells: pd.Series, *, semicolons: bool) -> str:
    """Return the decimal separator of all cells, "." or ","."""
    parts = cells.str.extract(_CELL)
    bodies = parts[1].str.replace(r"['’\s]", "", regex=True)
    points, commas = bodies.str.count(r"\."), bodies.str.count(",")
    both = (points > 0) & (commas > 0)
    last_is_comma = bodies.str.rfind(",") > bodies.str.rfind(".")

    def certain(mark: str, own: pd.Series, other: pd.Series, last: pd.Series) -> pd.Series:
        alone = (own == 1) & (other == 0)
        single = alone & (bodies.str.fullmatch(_ONE_SEPARATOR.format(re.escape(mark))) | parts[2].notna())
        return (both & last) | ((other > 1) & (own == 0)) | single

    comma = certain(",", commas, points, last_is_comma).fillna(False).astype(bool)
    point = certain(".", points, commas, ~last_is_comma).fillna(False).astype(bool)
    if comma.any() and point.any():
        raise DataError(
            f"{name} has numbers with decimal commas ({cells[comma].iloc[0]!r}) and with decimal points "
            f"({cells[point].iloc[0]!r}); use one format throughout"
        )
    if comma.any() or point.any():
        return "," if comma.any() else "."
    either = bodies.str.fullmatch(_EITHER.format("," if not semicolons else "[.,]")).fillna(False).astype(bool)
    if either.any():
        cell = str(cells[either].iloc[0])
        mark = "," if "," in cell else "."
        raise DataError(
            f"{name}: {cell!r} may have a thousands separator or three decimals, and no other number in the "
            f"file shows which; read the file first, with pandas.read_csv(path, thousands={mark!r}) or "
            f"pandas.read_csv(path, decimal={mark!r}), and pass the frame"
        )
    return "."


def _rewritten(cell: str, decimal: str, is_volume: bool) -> object:
    """Return the cell as Python writes it, None for no volume, and anything else as it came."""
    if is_volume and cell in _NO_VOLUME:
        return None
    found = re.fullmatch(_CELL.strip("^$"), cell)
    if not found:
        return cell
    sign, body, power, suffix = found.groups()
    thousands = "." if decimal == "," else ","
    body = body.strip()
    group = rf"[{thousands}'’\s]"
    mark = re.escape(decimal)
    if not re.fullmatch(rf"(?:\d*|\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}})(?:{mark}\d*)?", body):
        return cell
    if suffix and not is_volume:
        return cell
    exponent = f"e{power}" if power else _THOUSANDS[suffix.lower()] if suffix else ""
    return sign + re.sub(group, "", body).replace(decimal, ".") + exponent
