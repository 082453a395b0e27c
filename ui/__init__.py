"""What the person sees: the pages and what they are made of."""
