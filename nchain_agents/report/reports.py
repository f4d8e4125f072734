"""What `compare` and `check_agent` return: results that show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nchain_agents.check.verdict import Verdict
from nchain_agents.study.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ComparisonReport(Comparison):
    """A finished study, with its displays: the last expression of a notebook's cell shows it."""

    @classmethod
    def of_comparison(cls, comparison: Comparison) -> ComparisonReport:
        """Return the report of a comparison, with what it has computed already."""
        report = cls(comparison.study, comparison.runs)
        vars(report).update(vars(comparison))
        return report

    def frame(self) -> Any:
        """Return `results` as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return _frame(self.results)

    def plot(self) -> Figure:
        """Return the learning curves as a `matplotlib.figure.Figure`, a panel per environment."""
        from nchain_agents.report import pictures

        return pictures.learning_curves(self)

    def report(self, path: str | PathLike[str]) -> None:
        """Write the report to one HTML file, as `report.html` in the folder of a study.

        Raises:
            OSError: The file cannot be written.
        """
        from nchain_agents.report import page

        page.write_page(Path(path), self)

    def _repr_html_(self) -> str:
        from nchain_agents.report import cell

        return cell.of_comparison(self)


class CheckReport(Verdict):
    """What a check found, with its displays: the last expression of a notebook's cell shows it."""

    def __repr__(self) -> str:
        return f"<CheckReport of {self.headline}>"

    def frame(self) -> Any:
        """Return the explanations as a `pandas.DataFrame`, a row each.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return _frame(self.as_data()["explanations"])

    def plot(self) -> Figure:
        """Return the learned values and those of the explanations as a `matplotlib` figure.

        Raises:
            ValueError: No values of the agent were judged.
        """
        from nchain_agents.report import check_page

        return check_page.learned_values(self)

    def report(self, path: str | PathLike[str]) -> None:
        """Write the report to one HTML file, as `check.html` in the folder of a check.

        Raises:
            OSError: The file cannot be written.
        """
        from nchain_agents.report import check_page

        check_page.write_page(Path(path), self)

    def _repr_html_(self) -> str:
        from nchain_agents.report import cell

        return cell.of_verdict(self)


def _frame(rows: Sequence[dict[str, Any]]) -> Any:
    try:
        import pandas
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "frame() needs pandas: pip install pandas", name=missing.name
        ) from None
    return pandas.DataFrame(rows)
