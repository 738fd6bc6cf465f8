"""How figures are shown: a table each, a picture each, and for machines one JSON object as the last line."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

FOLDER: Final = Path("artefacts/bench")
_WIDTH = 130
"""Of tables that go into a file."""
_INK = "#1a1a1c"
_COLOURS: Final = ("#0017c1", "#c74700", "#197a4b", "#8843e1", "#626264", "#b78f00")


class Report:
    """Collects figures and shows them as they come.

    Args:
        name: of the benchmark, first part of its pictures' names.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
        self.figures: dict[str, object] = {"benchmark": name}

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table: the first column names, the others are figures."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*(shown(cell) for cell in row))
        self._console.print(table)

    def growth(self, what: str, title: str, series: Mapping[str, Mapping[int, float]], axes: tuple[str, str]) -> None:
        """Draw how costs grow with size, both scales logarithmic."""
        with _Figure(self._name, what, title) as axis:
            for colour, (label, points) in zip(_COLOURS, series.items(), strict=False):
                sizes = sorted(points)
                axis.plot(sizes, [points[size] for size in sizes], "o-", color=colour, label=label)
                axis.annotate(
                    shown(points[sizes[-1]]), (sizes[-1], points[sizes[-1]]), textcoords="offset points", xytext=(6, 3)
                )
            axis.set_xscale("log")
            axis.set_yscale("log")
            for scale in (axis.xaxis, axis.yaxis):
                scale.set_major_formatter(lambda value, _: shown(value))
                scale.set_minor_formatter(lambda *_: "")
            low, high = axis.get_ylim()
            axis.set_ylim(low / 2, high * 1.5)
            axis.set_xlabel(axes[0])
            axis.set_ylabel(axes[1])
            if len(series) > 1:
                axis.figure.legend(loc="outside lower center", ncols=2, frameon=False)
            axis.grid(visible=True, which="major", alpha=0.25)

    def bars(self, what: str, title: str, values: Mapping[str, float], axis_label: str) -> None:
        """Draw lengths to compare, each with its figure; the first is ours."""
        with _Figure(self._name, what, title) as axis:
            names = list(values)[::-1]
            colours = [_COLOURS[0] if name == next(iter(values)) else _COLOURS[4] for name in names]
            bars = axis.barh(names, [values[name] for name in names], color=colours)
            axis.bar_label(bars, [shown(values[name]) for name in names], padding=4)
            axis.set_xlim(right=max(values.values()) * 1.15)
            axis.set_xlabel(axis_label)

    def finish(self, *, as_json: bool) -> None:
        """Say where the pictures are, keep the figures beside them, and print them if machines read them."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        text = json.dumps(rounded(self.figures), ensure_ascii=False)
        (FOLDER / f"{self._name}.json").write_text(text + "\n", encoding="utf-8")
        self.say(f"pictures and figures: {FOLDER}/{self._name}*")
        if as_json:
            print(text, flush=True)


class _Figure:
    """One picture, saved as PNG and SVG."""

    def __init__(self, name: str, what: str, title: str) -> None:
        import matplotlib as mpl  # noqa: PLC0415 - slow to load, and only for the pictures

        mpl.use("Agg")
        mpl.rcParams.update(
            {"svg.hashsalt": name, "svg.fonttype": "none", "text.color": _INK, "axes.labelcolor": _INK, "font.size": 10}
        )
        from matplotlib import pyplot as plt  # noqa: PLC0415 - after the back end is chosen

        self._path = FOLDER / f"{name}-{what}"
        self._plt = plt
        self._figure, self._axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
        self._axis.set_title(title, loc="left")
        self._axis.spines[["top", "right"]].set_visible(False)

    def __enter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - matplotlib is loaded late
        return self._axis

    def __exit__(self, *_: object) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._figure.savefig(self._path.with_suffix(".png"), dpi=110)
        self._figure.savefig(self._path.with_suffix(".svg"), metadata={"Date": None})
        self._plt.close(self._figure)


def shown(value: object) -> str:
    """Return a figure as people read it: three digits that count, thousands apart."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value)
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def rounded(value: object) -> object:
    """Return figures with four digits that count, in whatever holds them; keys as text, as JSON wants them."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {str(key): rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value
