"""One request, with the key, retried."""
