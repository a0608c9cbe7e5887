"""Measurements: ratios against a yardstick in the same run, interleaved; never asserted in a test."""
