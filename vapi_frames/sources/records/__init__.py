"""Where a call record keeps what a query uses."""
