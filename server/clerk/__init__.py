"""The clerk: orders what was decided of requests for footage, and does what falls due when nobody does anything."""
