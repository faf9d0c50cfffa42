"""The semantic cache: which kept answer lies near a question, and whether it is the answer to this one.

One process per host, started by the supervisor where it is enabled. It knows no dialect, no provider and no price: a
question is a text in a partition, an answer is bytes. What decides does no I/O: ``policy`` (serve, ask upstream and
compare, or miss), ``vetoes`` (what no similarity outweighs), ``learning`` and ``budget`` (what comparisons teach, and
what may be spent), ``compare`` (whether two answers say the same). Workers import none of it: they ask the process.
"""
