"""The tracking server's contract, tried with real parts: engine, PostgreSQL, S3 server, browser."""
