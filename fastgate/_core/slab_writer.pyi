"""Storing in the slab and making room in it. Only other compiled units use it, by its ``.pxd``."""
