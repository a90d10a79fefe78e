"""Rules on handsets: TRK-01 … TRK-07, one module each. Facts: StoredFix in commit order; subject: the handset."""
