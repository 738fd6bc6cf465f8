"""A witness outside city hall: cosigns only heads that continue the one it cosigned before."""
