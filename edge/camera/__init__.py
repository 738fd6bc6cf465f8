"""The camera of a gateway: masks, records, seals and keeps footage; loaded only where a camera is configured."""
