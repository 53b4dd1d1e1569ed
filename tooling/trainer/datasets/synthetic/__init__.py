"""Made-up data sets to try things with."""
