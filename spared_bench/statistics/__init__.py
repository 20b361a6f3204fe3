"""Comparing methods over datasets: pure functions on labelled matrices.

A matrix is a DataFrame of shape (n_datasets, n_methods), lower being better unless said otherwise;
seeds have been averaged before. Demsar, JMLR 7 (2006), says which test is for what.
"""
