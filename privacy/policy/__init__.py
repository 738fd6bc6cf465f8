"""The policy engine: Cedar policies decide, every decision says by which policy and why."""
