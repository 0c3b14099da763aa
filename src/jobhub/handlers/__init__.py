"""The job types that ship with jobhub, and finding those that don't."""
