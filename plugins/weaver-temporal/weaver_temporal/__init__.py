"""Durable runs placed on Temporal: it says which worker works on a run, the journal what the run has done."""
