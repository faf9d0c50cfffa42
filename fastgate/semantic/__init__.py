"""The process of the semantic cache: what a question means, which kept answers lie near it, what is decided.

One process per host, started by the supervisor where it is enabled. It knows no dialect, no provider and no price: a
question is a text in a partition, an answer is bytes.
"""
