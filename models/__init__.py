"""Recurrent networks as torch modules, and the table of cells that can be chosen."""
