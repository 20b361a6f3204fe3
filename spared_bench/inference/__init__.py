"""Trained predictors applied to new slides."""
