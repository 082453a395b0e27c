"""Watching from where people already train, and what it says in the places where they already look.

Each module needs the package that it is named after, imported by nobody else, and says which extra brings it.
"""
