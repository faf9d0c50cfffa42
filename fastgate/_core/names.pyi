"""Member names of JSON objects. Only other compiled units use it, by its ``.pxd``."""
