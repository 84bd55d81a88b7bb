"""What is PostgreSQL's own: transactions of the caller, rows of any form, JSON of two kinds, names without quotes."""

from __future__ import annotations
