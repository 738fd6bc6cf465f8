"""The schedule of what is kept, run every hour by the clerk; each run leaves a certificate."""
