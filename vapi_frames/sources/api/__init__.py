"""The API: many queries as few requests."""
