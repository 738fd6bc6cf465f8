"""The volunteer phone: a detector that duty-cycles, keeps nothing readable and stays silent at home."""
