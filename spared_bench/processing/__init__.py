"""From raw counts to the target that a predictor learns, one step a file.

``pipeline.prepare`` runs them in order: ``joining`` with ``annotation``, ``selection`` with
``filtering``, ``splitting``, ``normalization``, ``graph``, ``median``, ``moran``, ``combat``. The
computing steps take and return arrays, so that each can be held against an independent reference.
"""
