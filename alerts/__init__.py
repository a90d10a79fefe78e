"""alerts: turns committed facts into grid events, and moves events through the six steps.

In: batches of facts from the store's tails (all lanes), the registry's snapshot, the collectors' heartbeats.
Out: rows in `grid_events` and `event_changes`, in one transaction with rule states and cursors.

`engine` reads slices and commits; `evaluate` runs the rules of a subject's kind on a fact; `absence` judges silence;
`merge` turns findings into events, within `budget` and with `limits`; `rules/` holds one module a rule and the table
that names them; `life` is the table of the six steps.
"""
