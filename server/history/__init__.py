"""Where wards have been: sealed by ward and hour under keys of their own, read for their families, erased by key."""
