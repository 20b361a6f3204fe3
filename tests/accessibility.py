"""What axe finds on a page; a test without it, or without a browser, is skipped."""

from __future__ import annotations

from importlib import resources

import pytest


def faults(page, impacts=("serious", "critical")) -> list[str]:
    """Return the faults of these impacts on a page that is open, which lets scripts of others run.

    A page with a policy takes ``bypass_csp=True`` of its browser's context.
    """
    package = pytest.importorskip(
        "axe_playwright_python", reason="axe-playwright-python is not installed"
    )
    page.evaluate((resources.files(package) / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert result["passes"]  # it looked at something
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in result["violations"]
        if each["impact"] in impacts
    ]
