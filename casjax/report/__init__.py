"""Tables, figures and a page from the results of runs: `casjax report`."""
