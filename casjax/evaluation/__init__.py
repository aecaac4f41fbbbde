"""How methods are scored: one evaluator, and the methods it can be given."""

PAPERS_QUALITIES = (10, 20, 40, 60, 80)  # the JPEG quality factors of the paper's Table II
