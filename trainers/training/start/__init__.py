"""Where initial weights come from, once, before the one fit: a file for each source."""
