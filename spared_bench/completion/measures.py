"""What the benchmark of completion reports (Mejia et al., MICCAI 2024); no protocol chooses it.

``scoring`` computes them under these names.
"""

from __future__ import annotations

#: Name to title. Completers are ordered, and figures drawn, by the first.
MEASURES = {"mse": "MSE", "pcc": "PCC"}
FIRST = next(iter(MEASURES))
