"""A page about a range of calls, to be handed on: figures, charts, tables, and how each number comes about."""
