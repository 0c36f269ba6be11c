"""Before the first step: what is asked, what the machine is, where the run lives, which data."""
