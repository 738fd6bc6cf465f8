"""A street to look at: the scene that a simulated camera films, its plain twin for tests, and how they are sent."""
