"""The command line: a thin, lazily imported shell around the parts that do the work."""
