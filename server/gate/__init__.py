"""Who comes in at the broker's door, what each may do there, and who is put out again."""
