"""`trainer predictions`: what served models have answered."""
