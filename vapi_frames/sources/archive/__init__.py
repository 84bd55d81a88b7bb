"""The API's calls, a Parquet file a day."""
