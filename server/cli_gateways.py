"""The commands of `mimamori ca` and `mimamori gateway`."""
