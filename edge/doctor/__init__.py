"""`mimamori-edge doctor`: what a technician at the pole wants to know, and what to do about it. Never shows a key."""
