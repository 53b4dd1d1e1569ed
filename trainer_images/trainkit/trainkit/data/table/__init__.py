"""CSV files: their header, what is in their columns, and which of them are learnt from."""
