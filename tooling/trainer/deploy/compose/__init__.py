"""The whole as a stack on one machine: tracking server, database, a served model, and what watches them."""
