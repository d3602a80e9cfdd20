"""The page on image jobs, and the table in it of what can vanish under a job or an upload."""
