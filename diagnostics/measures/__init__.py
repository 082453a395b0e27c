"""Pure functions from what was recorded to numbers and words. The modules here that name no torch need only numpy."""
