"""Who sends a request, and what that one may do: for any HTTP service built from the framework."""
