"""What one pass of the loop has to write, written together; for the compiled units alone."""
