"""Studies: many runs that differ in line, split, seed and amount of data, and what they tell."""
