"""What the public may read: the yearly report and the ledgers, computed from the audit log alone.

Source: docs/ORDINANCE.md, rules 20 to 22.
"""
