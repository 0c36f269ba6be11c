"""The page that a finished run leaves."""
