"""The HTTP API and the web app's files: what a family, a volunteer's phone and a monitor may ask."""
