"""The semantic cache: whether an answer that was given to another question is the answer to this one.

What decides is here and does no I/O: ``policy`` (serve, ask upstream and compare, or miss), ``vetoes`` (what no
similarity outweighs), ``learning`` and ``budget`` (what comparisons teach, and what may be spent), ``compare``
(whether two answers say the same). Workers import none of it: they ask the process that does.
"""
