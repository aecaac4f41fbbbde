"""Tables, figures and a page from the results of runs: `python -m casjax.report`."""
