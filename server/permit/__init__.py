"""Where the server asks the policies: every answer is written down, and what is allowed gets a purpose token."""
