"""Child processes: starting, probing, stopping, and making sure they are gone."""
