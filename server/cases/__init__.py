"""Requests for footage: how a case is written, checked, decided, released and ended."""
