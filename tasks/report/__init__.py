"""What a restore looks like to people: one page beside the product, and a short summary for the run's own page.

Rendering is apart from running: both take the finished provenance record and nothing else but pictures, so a
report can be drawn again from what was delivered.
"""

from tasks.report.page import render
from tasks.report.summary import markdown

__all__ = ["markdown", "render"]
