"""Rules on POS terminals: POS-01 … POS-07. Facts: StoredReading in commit order; subject: the terminal."""
