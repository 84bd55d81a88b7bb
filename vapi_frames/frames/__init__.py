"""From a result to a DataFrame, and what a frame knows of itself."""
