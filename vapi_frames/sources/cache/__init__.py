"""Answers kept on disk."""
