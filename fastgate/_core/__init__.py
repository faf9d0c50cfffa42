"""The compiled core: bytes, integers and shared memory.

Knows no provider, no framework and no configuration. Each unit is a ``.pyx`` with its ``.pxd`` (for other units) and
its ``.pyi`` (for Python).
"""
