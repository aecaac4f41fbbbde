"""How methods are scored: one evaluator, and the methods it can be given."""
