"""The steps by which a hold's record moves; nothing here is for Python."""
