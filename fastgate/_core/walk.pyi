"""One pass over JSON text, without Python objects. Only other compiled units use it, by its ``.pxd``."""
