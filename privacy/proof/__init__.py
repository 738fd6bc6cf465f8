"""Proofs over the policies: what no question can ever get, and what a new set of policies newly allows."""
