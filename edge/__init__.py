"""The gateway agent: hears tags, keeps what it heard, hands it to the server and deletes on receipt."""
