"""The sink: changes, memberships and decisions as tables of a PostgreSQL database."""
