"""Market recordings that others made: read from many formats, given back as the venue's own frames with times."""
