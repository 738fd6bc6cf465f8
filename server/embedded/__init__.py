"""PostgreSQL and a broker out of PyPI wheels, as children of ours."""
