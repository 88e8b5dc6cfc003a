"""Where flows run: one environment a file."""
