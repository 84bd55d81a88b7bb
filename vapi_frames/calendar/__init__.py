"""Buckets and ranges of the calendar, in a time zone."""
