"""A query as one SELECT, and its rows as a result."""
