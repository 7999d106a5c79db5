"""Who did what that others may ask about later: for any service built from the framework."""
