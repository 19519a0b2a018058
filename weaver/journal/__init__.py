"""The record of finished steps that makes a run resumable."""
