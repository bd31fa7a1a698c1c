"""Voxels and millimetres: grids, files, resampling, registration."""
