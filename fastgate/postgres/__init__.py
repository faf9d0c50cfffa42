"""The PostgreSQL that hosts share: how it is reached, and how its tables come to be."""
