"""What runs: one file a flow, each of which reads as a table of contents."""
