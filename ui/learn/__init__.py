"""The page Learn: a guided path through recurrent networks, one stop after the other."""
