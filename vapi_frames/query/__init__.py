"""The query: a frozen value, its verbs, its other forms."""
