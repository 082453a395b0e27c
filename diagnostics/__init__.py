"""Measure, record, store, draw and export the gradient through time; nothing heavy is imported here."""
