"""Replies as files, and answers from them."""
