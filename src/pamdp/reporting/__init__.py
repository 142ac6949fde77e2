"""The report: tables, figures and one self-contained page, from the outputs of the other stages."""

from pamdp.reporting.page import write_report

__all__ = ["write_report"]
