"""The pages for administrators, under /ui/admin: how the system stands, everybody's jobs, and stepping in."""
