"""How gateways come to keys and certificates of the city: its own authority, one-time codes, renewal, revocation."""
