"""What an account may use of a server: for any HTTP service built from the framework."""
