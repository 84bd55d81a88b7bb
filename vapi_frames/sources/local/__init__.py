"""DuckDB over frames and files."""
