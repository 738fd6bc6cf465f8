"""From the broker to the database: opens what detectors sealed, asks the core, commits, and only then says so."""
