"""Work on an HTCondor pool: jobs that are workers, and what becomes of each of them."""
