"""Raw prostate series and annotations of a patient, brought together in plain volumes."""
