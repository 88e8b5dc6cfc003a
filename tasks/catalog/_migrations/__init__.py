"""How a catalog comes to have the tables of `tasks.catalog.tables`, revision by revision; run by alembic."""
