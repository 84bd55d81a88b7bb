"""What a source gives back: an Arrow table and the range it covers."""
