"""`mimamori demo`: a whole watched town on one machine, every part a process of its own."""
