"""Figures and pages about data and trials."""
