"""The processing directory: its layout, what is finished in it, delivery and provenance."""
