"""Giving orders to gateways, and hearing what became of them."""
