"""What a run is asked to do: fields, flags and settings."""
