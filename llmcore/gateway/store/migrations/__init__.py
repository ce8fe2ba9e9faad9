"""The steps from the first schema to the newest, run by alembic. They go up only: the way back is a backup."""
