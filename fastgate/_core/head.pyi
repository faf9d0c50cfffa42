"""What stands in heads of HTTP/1.1; for the compiled units alone."""
