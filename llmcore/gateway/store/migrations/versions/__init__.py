"""One file per step. A step that has been released is never changed again, and imports nothing of ours."""
