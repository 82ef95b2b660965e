"""Measurements, side by side in one run and given as ratios: single times say little on a shared machine."""
