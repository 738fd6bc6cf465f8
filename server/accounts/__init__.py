"""Who is signed in: login codes, sessions and their limits."""
