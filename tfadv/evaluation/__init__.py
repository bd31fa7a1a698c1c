"""What a run is worth: measures, tables, pictures, comparisons."""
