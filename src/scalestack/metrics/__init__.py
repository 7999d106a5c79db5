"""What a program measures of itself, and how it is asked for it."""
