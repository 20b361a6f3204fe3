"""Completion: what completers share, and the benchmark that measures them.

``masking`` hides measured entries, ``neighbourhoods`` says which spots are near which, ``spots``
feeds both to the trainer, ``torch_completer`` is the base of completers that are a network.
``benchmark`` hides and scores, ``tables`` and ``figures`` show what came of it.
"""
