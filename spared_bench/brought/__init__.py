"""Predictions made elsewhere: what an outsider is given, and what becomes of the file that returns.

``split_export`` writes slides, split, genes and patches, for people who train without this package;
``scoring`` takes their predictions as a scored row of the board, *brought*, by names of spots and
genes (``names``, ``collecting``), from the files that scanpy, pandas and numpy write (``reading``).
"""
