"""Exports of footage: how they arrive from gateways, and how whoever got one opens and checks it."""
