"""What training scripts share. Import the modules; each brings only the frameworks it names."""
