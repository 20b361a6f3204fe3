"""Carries a plan out: what is ready, what is handed out, what becomes of a failure."""
