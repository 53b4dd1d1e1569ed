"""Made-up datasets to try things with."""
