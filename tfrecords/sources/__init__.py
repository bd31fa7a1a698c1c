"""What lies on disk before preprocessing: subjects, their files and layouts."""
