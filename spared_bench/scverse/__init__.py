"""Prepared datasets and predictions as scanpy, squidpy and spatialdata expect them."""
