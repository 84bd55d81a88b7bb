"""Queries and their replies as JSON files, and a wire that replays them."""
