"""The same SELECT on other engines."""
