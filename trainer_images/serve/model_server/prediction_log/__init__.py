"""What was asked and answered, kept in a file. A log that cannot be written delays and fails no answer."""
